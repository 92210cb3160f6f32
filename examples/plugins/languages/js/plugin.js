// One plugin with every hook; a plugin with one hook exports that alone and names its world in the build.
export { lifecycle, timeoutPolicy } from "./timeout.js";
export { outputRedaction } from "./redactor.js";
export { runEnd } from "./alert.js";
