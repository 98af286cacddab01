/**
 * The user's own dialogues for the stages that learn from text. They come from files in any layout
 * of `DIALOGUE_LAYOUTS`, and are split by prompt in the same way as pairs.
 */
import { DIALOGUE_LAYOUTS } from '../data/dialogues.ts';
import { digestOfRows } from '../data/digest-of-rows.ts';
import { type FileOrigin, withOrigins } from '../data/origins.ts';
import type { Dialogue } from '../data/rows.ts';
import { describeSkips, noSkips, type SkipReason } from '../data/skips.ts';
import { splitByPrompt } from '../data/split-by-prompt.ts';
import { splitName } from '../data/split-name.ts';
import { SPLIT_SEED } from './preference-data.ts';

export type SplitDialogues = { train: Dialogue[]; heldOut: Dialogue[] };

/**
 * Reads the files, `LAYOUT:FILE`, and holds out all dialogues of `heldOutShare` of their prompts.
 * `origins` is what the user says of them, in their order. Reports on stderr what each file gave.
 * `fileRows` has the digest of each file's rows by its name. Throws for a file without a dialogue,
 * or with one whose licence stays unknown.
 */
export async function dialogueData(
  files: readonly string[],
  { origins, heldOutShare }: { origins: readonly FileOrigin[]; heldOutShare: number },
): Promise<SplitDialogues & { fileRows: Record<string, string> }> {
  const all: SplitDialogues = { train: [], heldOut: [] };
  const fileRows: Record<string, string> = {};
  for (const [i, name] of files.entries()) {
    const [layout, file] = splitName(name, DIALOGUE_LAYOUTS);
    const skipped = noSkips();
    const onSkip = (reason: SkipReason) => void skipped[reason]++;
    const read = await Array.fromAsync(DIALOGUE_LAYOUTS[layout].read(file, { onSkip }));
    if (read.length === 0) throw new Error(`${file}: there is no dialogue in it; left out: ${describeSkips(skipped)}`);
    const dialogues = withOrigins(read, origins[i] ?? {}, file);
    fileRows[name] = digestOfRows(dialogues);
    const keyed = dialogues.map((dialogue) => ({ prompt: dialogue.messages, dialogue }));
    const { train, heldOut } = splitByPrompt(keyed, { seed: SPLIT_SEED, heldOut: heldOutShare });
    all.train.push(...train.map(({ dialogue }) => dialogue));
    all.heldOut.push(...heldOut.map(({ dialogue }) => dialogue));
    process.stderr.write(
      `${name}: ${dialogues.length} dialogues: ${train.length} to train on, ${heldOut.length} held out; left out: ${describeSkips(skipped)}\n`,
    );
  }
  return { ...all, fileRows };
}
