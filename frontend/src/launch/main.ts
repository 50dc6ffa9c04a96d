import "../style.css";
import "./launch-page";
import { mount } from "../page";

mount("launch-page");
