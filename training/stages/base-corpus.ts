/**
 * The corpus that the base model is trained on: generated dialogues, and real conversations whose
 * licence lets us distribute weights trained on them. This table has no files under a
 * non-commercial, share-alike or unclear licence; see the data's README.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { DIALOGUE_LAYOUTS, type DialogueLayout } from '../data/dialogues.ts';
import { createRandom, type Random } from '../data/random.ts';
import type { Dialogue } from '../data/rows.ts';
import { describeSkips, noSkips, type SkipReason, type Skips } from '../data/skips.ts';

export type CorpusSource = { file: string; layout: DialogueLayout; name: string; licence: string };

export const REAL_SOURCES: readonly CorpusSource[] = [
  {
    file: 'instr_rasbt_1100.jsonl.gz',
    layout: 'alpaca',
    name: 'LLMs-from-scratch instructions',
    licence: 'Apache-2.0',
  },
  { file: 'dialog_taskmaster4.jsonl.gz', layout: 'messages', name: 'Taskmaster-4', licence: 'CC-BY-4.0' },
  { file: 'instr_gpteacher.jsonl.gz', layout: 'alpaca', name: 'GPTeacher', licence: 'MIT' },
  { file: 'instr_gsm8k.jsonl.gz', layout: 'alpaca', name: 'GSM8K', licence: 'MIT' },
];

/**
 * We leave out longer real conversations. They would be a few per cent of the rows, but a third of
 * the tokens.
 */
const MAX_REAL_CHARACTERS = 400;

/** How many real conversations we hold out, to measure on. */
const HELD_OUT_REAL = 256;

export type BaseCorpus = { dialogues: Dialogue[]; counts: Record<string, number>; heldOutReal: Dialogue[] };

/**
 * Combines the `generated` dialogues with real ones, up to `realShare` of the whole, drawn evenly
 * from `dataDir`. The same `seed` gives the same corpus. A share above 0 without `dataDir` is an
 * error, because we never shrink the corpus silently.
 */
export async function baseCorpus({
  seed,
  generated,
  realShare,
  wordDropout = 0,
  dataDir,
}: {
  seed: number;
  generated: readonly Dialogue[];
  realShare: number;
  /**
   * The chance that a word of a generated question is dropped. The model must then tell from the
   * remaining words what the question is about.
   */
  wordDropout?: number;
  dataDir: string | null;
}): Promise<BaseCorpus> {
  if (!(realShare >= 0 && realShare < 1))
    throw new Error(`the share of real conversations is ${realShare}; it lies in [0, 1)`);
  const noise = createRandom(`${seed}/word-dropout`);
  const thinned = generated.map(
    (dialogue): Dialogue => ({
      ...dialogue,
      messages: dialogue.messages.map((message) =>
        message.role === 'user' ? { ...message, content: dropWords(message.content, wordDropout, noise) } : message,
      ),
    }),
  );
  const wanted = Math.round((generated.length * realShare) / (1 - realShare));
  const { dialogues: real, skipped } =
    wanted === 0 ? { dialogues: [], skipped: noSkips() } : await readReal(dataDir, realShare);
  const shuffled = createRandom(`${seed}/real`).shuffle(real);
  const heldOutReal = shuffled.slice(0, HELD_OUT_REAL);
  const picked = shuffled.slice(HELD_OUT_REAL, HELD_OUT_REAL + wanted);
  if (wanted > 0) {
    const found = `${real.length} real conversations in ${dataDir}; left out: ${describeSkips(skipped)}`;
    const taken = `${picked.length} of the ${wanted} wanted to train on, ${heldOutReal.length} held out`;
    process.stderr.write(`corpus: ${found}; ${taken}\n`);
    if (picked.length === 0) throw new Error(`--real-share ${realShare}: ${found}: none is left to train on`);
  }
  const dialogues = [...thinned, ...picked];
  const counts: Record<string, number> = {};
  for (const { source } of dialogues) counts[source] = (counts[source] ?? 0) + 1;
  return { dialogues, counts, heldOutReal };
}

/** Drops words at random, but never all of them. */
function dropWords(text: string, chance: number, random: Random): string {
  if (chance === 0) return text;
  const kept = text.split(' ').filter(() => !random.chance(chance));
  return kept.length === 0 ? text : kept.join(' ');
}

async function readReal(dataDir: string | null, share: number): Promise<{ dialogues: Dialogue[]; skipped: Skips }> {
  if (dataDir === null || !existsSync(dataDir)) {
    const where = dataDir === null ? 'no --data folder was given' : `${dataDir} does not exist`;
    throw new Error(`--real-share ${share} wants real conversations, but ${where}; give one, or --real-share 0`);
  }
  const dialogues: Dialogue[] = [];
  const skipped = noSkips();
  const onSkip = (reason: SkipReason) => void skipped[reason]++;
  for (const { file, layout, name } of REAL_SOURCES) {
    for await (const dialogue of DIALOGUE_LAYOUTS[layout].read(path.join(dataDir, file), { onSkip })) {
      const length = dialogue.messages.reduce((sum, { content }) => sum + content.length, 0);
      if (length <= MAX_REAL_CHARACTERS) dialogues.push({ ...dialogue, source: name });
      else onSkip('longDialogue');
    }
  }
  return { dialogues, skipped };
}
