/** Style sheets are imported for their effect: vite makes a file of them that the shell links. */
declare module "*.css";
