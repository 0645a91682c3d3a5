// Writes docs/limits.md: npm run limits.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT_FOLDER } from "./folders.ts";
import { limitsPage } from "./limits-text.ts";

writeFileSync(join(PROJECT_FOLDER, "docs/limits.md"), limitsPage(PROJECT_FOLDER));
