/** `node scripts/launch.mjs workers/local/write-console.ts FOLDER`: what `wrangler deploy` runs. */
import { writeConsole } from './build-console.ts';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('write-console wants the folder to write to');
await writeConsole(folder);
