/**
 * The small world's pairs and questions by part. A topic is in one part with everything that is
 * asked about it. Outside of training the wordings and the jailbreak frames are held-out ones too.
 */
import type { Preference } from '#training/data/rows.ts';
import { PARTS, type Part, splitOf, topicKey } from '../split/split.ts';
import { generatePairs, generateQuestions } from '../world/generate.ts';
import { loadTopics } from '../world/load-topics.ts';
import type { QuestionRow, Split } from '../world/rows.ts';
import type { Topic } from '../world/schema.ts';
import type { Settings } from './settings.ts';
import { WORLD } from './sources.ts';

const sideOf = (part: Part): Split => (part === 'train' ? 'train' : 'heldout');

function topicsOf(part: Part): Topic[] {
  return loadTopics({ edition: 'whole' }).filter(({ id }) => splitOf(topicKey(id)) === part);
}

export type WorldPair = Preference & { topic: string; part: Part };

export function worldPairsByPart({
  seed,
  worldPairs,
  world,
}: Pick<Settings, 'seed' | 'worldPairs' | 'world'>): WorldPair[] {
  return PARTS.flatMap((part) =>
    generatePairs({
      ...world,
      seed,
      split: sideOf(part),
      count: worldPairs[part],
      topics: topicsOf(part),
    }).map(({ prompt, response_0, response_1, better, safer, safe_0, safe_1, topic }) => ({
      prompt: [...prompt],
      responses: [response_0, response_1],
      better,
      safer,
      safe: [safe_0, safe_1],
      source: WORLD,
      topic,
      part,
    })),
  );
}

/** One question of every ask. */
export function worldQuestions(part: Part, seed: number): QuestionRow[] {
  return generateQuestions({ seed, split: sideOf(part), perAsk: 1, topics: topicsOf(part) });
}
