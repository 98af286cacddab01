/** Draws the pictures of the documentation from what was recorded, and from the policies. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pictures } from './all.ts';
import { recorded } from './recorded.ts';

const ROOT = path.join(import.meta.dirname, '../..');

for (const [file, svg] of Object.entries(pictures(recorded()))) {
  writeFileSync(path.join(ROOT, file), svg);
  console.log(file);
}
