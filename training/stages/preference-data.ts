/** The pairs an expert learns from: the small world's, and files in any layout of `PREFERENCE_LAYOUTS`. */
import type { Dimension } from '../data/preferences.ts';
import { PREFERENCE_LAYOUTS } from '../data/preferences.ts';
import type { Preference } from '../data/rows.ts';
import { generatePairs } from '../world/generate.ts';
import type { PairRow } from '../world/rows.ts';

const HELD_OUT_PAIRS = 600;

export async function preferenceData({
  seed,
  worldPairs,
  files,
  dimension,
}: {
  seed: number;
  worldPairs: number;
  /** `layout:path` */
  files: readonly string[];
  dimension: Dimension;
}): Promise<{ train: Preference[]; heldOut: Preference[] }> {
  const fromWorld = ({
    prompt,
    response_0,
    response_1,
    better,
    safer,
    safe_0,
    safe_1,
    source,
  }: PairRow): Preference => ({
    prompt: [...prompt],
    responses: [response_0, response_1],
    better,
    safer,
    safe: [safe_0, safe_1],
    source,
  });
  const train = generatePairs({ seed, split: 'train', count: worldPairs }).map(fromWorld);
  for (const file of files) {
    const [layout, path] = splitOnce(file);
    const read = Object.hasOwn(PREFERENCE_LAYOUTS, layout)
      ? PREFERENCE_LAYOUTS[layout as keyof typeof PREFERENCE_LAYOUTS]
      : null;
    if (read === null) {
      throw new Error(
        `"${file}": "${layout}" is no layout; write LAYOUT:FILE with one of ${Object.keys(PREFERENCE_LAYOUTS).join(', ')}`,
      );
    }
    for await (const preference of read(path, { dimension })) train.push(preference);
  }
  return { train, heldOut: generatePairs({ seed, split: 'heldout', count: HELD_OUT_PAIRS }).map(fromWorld) };
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(':');
  return [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
}
