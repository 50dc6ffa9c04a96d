import "../style.css";
import "./home-page";
import { mount } from "../page";

mount("home-page");
