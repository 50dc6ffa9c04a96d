import "../style.css";
import "./credentials-page";
import { mount } from "../page";

mount("credentials-page");
