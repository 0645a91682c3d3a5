// The style sheet is bundled beside the script that imports it.
declare module "*.css";
