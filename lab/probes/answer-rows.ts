/**
 * Labelled answers, for asking whether a probe can tell a harmful answer by its first tokens. They
 * are split by prompt, behaviour and topic, as everything for the served model is.
 *
 * - `harmful`: answers to JailbreakBench's behaviours, safe and unsafe ones by LlamaGuard 2's
 *   verdict on the whole answer. Most safe ones decline.
 * - `ordinary`: answers to ordinary prompts. All are safe.
 * - `world`: composed answers, safe or with a hazard, to every kind of question. A hazard may come
 *   after the first tokens: then nobody can tell it by them.
 */
import path from 'node:path';
import type { Message } from '#shared/protocol/generate.ts';
import { PREFERENCE_LAYOUTS } from '#training/data/preferences.ts';
import { openingTurn } from '#training/data/prompt-key.ts';
import { hashToUnit } from '#training/data/random.ts';
import { nearStricter } from '../split/near-prompts.ts';
import { PARTS, type Part, splitOf, textKey, topicKey } from '../split/split.ts';
import { generatePairs } from '../world/generate.ts';
import { loadTopics } from '../world/load-topics.ts';

type AnswerSet = 'harmful' | 'ordinary' | 'world';

export type AnswerRow = {
  set: AnswerSet;
  /** What stays together in the split: a behaviour, a prompt or a topic. */
  key: string;
  part: Exclude<Part, 'judge'>;
  prompt: Message[];
  answer: string;
  safe: boolean;
};

export type MostAnswers = {
  /** Of each side of a behaviour. */
  harmful: number;
  /** Of each side of a set, in each part. */
  others: Readonly<Record<AnswerRow['part'], number>>;
};

/** Ordinary prompts with answers that somebody has judged for how helpful they are. */
const ORDINARY = ['PandaLM test', 'OASST sample trees', 'politeness pairs'];
const FILES = { harmful: 'pref_refusal_direction.jsonl.gz', ordinary: 'pref_helpful_mixed.jsonl.gz' } as const;

/** In a fixed order. A hash picks which. */
export async function answerRows(
  data: string,
  { seed, most, worldPairs }: { seed: number; most: MostAnswers; worldPairs: number },
): Promise<AnswerRow[]> {
  const rows = [...(await publicRows(data)), ...worldRows({ seed, count: worldPairs })];
  const kept = rows.filter((row): row is AnswerRow => row.part !== 'judge');
  const plain = kept.filter(({ set }) => set !== 'world');
  // The small world's topics share their wordings.
  const near = nearStricter(plain.map(({ prompt, part }) => ({ text: openingTurn(prompt), part })));
  const leaves = new Set(plain.filter((_, i) => near[i]));
  return pick(
    kept.filter((row) => !leaves.has(row)),
    most,
  );
}

type Placed = Omit<AnswerRow, 'part'> & { part: Part };

async function publicRows(data: string): Promise<Placed[]> {
  const rows: Placed[] = [];
  const add = (set: AnswerSet, prompt: Message[], answer: string, safe: boolean) => {
    const key = textKey(openingTurn(prompt));
    rows.push({ set, key, part: splitOf(key), prompt, answer, safe });
  };
  for await (const { source, prompt, responses, safe, better } of read(data, FILES.harmful)) {
    if (source.startsWith('refusal_direction/jailbreakbench/')) {
      for (const i of [0, 1] as const)
        if (typeof safe?.[i] === 'boolean') add('harmful', prompt, responses[i], safe[i]);
    } else if (better !== null) add('ordinary', prompt, responses[better], true);
  }
  for await (const { source, prompt, responses, better } of read(data, FILES.ordinary)) {
    if (better !== null && ORDINARY.some((name) => source.startsWith(name))) {
      add('ordinary', prompt, responses[better], true);
    }
  }
  return rows;
}

const read = (data: string, file: string) => PREFERENCE_LAYOUTS.plimsoll(path.join(data, file), { dimension: 'safer' });

function worldRows({ seed, count }: { seed: number; count: number }): Placed[] {
  const topics = loadTopics({ edition: 'whole' });
  return PARTS.filter((part) => part !== 'judge').flatMap((part) =>
    generatePairs({
      seed,
      split: part === 'train' ? 'train' : 'heldout',
      count,
      topics: topics.filter(({ id }) => splitOf(topicKey(id)) === part),
    }).flatMap(({ prompt, topic, response_0, response_1, safe_0, safe_1 }): Placed[] => {
      const row = { set: 'world' as const, key: topicKey(topic), part, prompt: [...prompt] };
      return [
        { ...row, answer: response_0, safe: safe_0 },
        { ...row, answer: response_1, safe: safe_1 },
      ];
    }),
  );
}

function pick(rows: readonly AnswerRow[], most: MostAnswers): AnswerRow[] {
  const taken = new Map<string, number>();
  const seen = new Set<string>();
  return rows
    .map((row) => ({ row, place: hashToUnit(`answer/${row.key}/${row.answer}`) }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ row }) => row)
    .filter(({ set, part, key, safe, answer }) => {
      const text = `${key}/${answer}`;
      if (seen.has(text)) return false;
      seen.add(text);
      const group = set === 'harmful' ? `${key}/${safe}` : `${set}/${part}/${safe}`;
      const count = (taken.get(group) ?? 0) + 1;
      taken.set(group, count);
      return count <= (set === 'harmful' ? most.harmful : most.others[part]);
    });
}
