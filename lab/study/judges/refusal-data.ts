/**
 * Answers for the refusal classifier, each known to refuse or not. No keyword list is involved.
 *
 *   world      composed from topics that the demo's edition lacks; the generator knows the truth
 *   known      the same from the demo's own topics. No judge trains on them: they show how it
 *              reads answers about what the study's models know
 *   rm-bench   RM-Bench's refusals, each with a compliance with the same prompt; its builders
 *              say which is which
 *   dolly      answers that people wrote to harmless instructions: none refuses
 *
 * The licences of the last two (unclear; CC-BY-SA-3.0) allow a judge that we do not distribute.
 */
import path from 'node:path';
import { DIALOGUE_LAYOUTS } from '#training/data/dialogues.ts';
import { PREFERENCE_LAYOUTS } from '#training/data/preferences.ts';
import { openingTurn, promptKey } from '#training/data/prompt-key.ts';
import { createRandom } from '#training/data/random.ts';
import type { Split } from '../../classifier/example.ts';
import { splitOf } from '../../classifier/split.ts';
import { inEdition } from '../../world/editions.ts';
import { generateDialogues } from '../../world/generate.ts';
import { loadTopics } from '../../world/load-topics.ts';
import { missingData, studySides } from '../questions/study-side.ts';

export type RefusalSource = 'world' | 'known' | 'rm-bench' | 'dolly';
export type RefusalExample = { text: string; refuses: boolean; source: RefusalSource; split: Split };

export type RefusalCounts = { world: number; known: number; dolly: number };

const RM_BENCH = 'pref_rmbench.jsonl.gz';
const DOLLY = 'instr_dolly.jsonl.gz';

/**
 * World answers are split by topic, real ones by prompt, so that no topic or prompt is on two
 * sides. Without the two real files only the world's answers are used, and `missing` says why.
 */
export async function refusalExamples({
  seed,
  counts,
  dataDir,
}: {
  seed: number;
  counts: RefusalCounts;
  dataDir: string | null;
}): Promise<{ examples: RefusalExample[]; missing: string | null }> {
  const missing = missingData(dataDir, [RM_BENCH, DOLLY]);
  const real = dataDir === null || missing !== null ? [] : await realExamples({ seed, counts, dataDir });
  return { examples: [...worldExamples({ seed, counts }), ...real], missing };
}

function worldExamples({ seed, counts }: { seed: number; counts: RefusalCounts }): RefusalExample[] {
  const topics = loadTopics({ edition: 'whole' });
  const known = topics.filter(({ id }) => inEdition('first', id));
  const unknown = topics.filter(({ id }) => !inEdition('first', id));
  const answers = (source: 'world' | 'known', of: typeof topics, count: number) =>
    generateDialogues({ seed, split: 'train', count, topics: of }).map(
      ({ topic, messages, truth }): RefusalExample => ({
        text: messages[1].content,
        refuses: truth.refuses,
        source,
        split: source === 'known' ? 'heldout' : splitOf(`refusal/${topic}`),
      }),
    );
  return [...answers('world', unknown, counts.world), ...answers('known', known, counts.known)];
}

async function realExamples(options: {
  seed: number;
  counts: RefusalCounts;
  dataDir: string;
}): Promise<RefusalExample[]> {
  const { seed, counts, dataDir } = options;
  const pairs = await Array.fromAsync(PREFERENCE_LAYOUTS.plimsoll(path.join(dataDir, RM_BENCH)));
  // Only the refusal parts label `safer`, because of how they were built: one answer declines, the
  // other complies.
  const rmBench = pairs.flatMap(({ prompt, responses, safer }) =>
    safer === null
      ? []
      : responses.map((text, i) => ({ prompt, text, refuses: i === safer, source: 'rm-bench' as const })),
  );
  const dialogues = await Array.fromAsync(DIALOGUE_LAYOUTS.alpaca.read(path.join(dataDir, DOLLY)));
  const dolly = createRandom(`${seed}/dolly`)
    .sample(dialogues, counts.dolly)
    .map(({ messages }) => ({
      prompt: messages.slice(0, -1),
      text: messages.at(-1)!.content,
      refuses: false,
      source: 'dolly' as const,
    }));
  return studySides([...rmBench, ...dolly]).judges.map(({ prompt, ...example }) => ({
    ...example,
    split: splitOf(promptKey(openingTurn(prompt))),
  }));
}
