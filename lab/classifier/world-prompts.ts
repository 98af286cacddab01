/**
 * The small world's questions: what the demo is asked. Harmful ones are their topic's category,
 * ordinary ones benign, and a borderline one is taught as 0.7: on the demo tenants' ramps from 0.5
 * to 0.9 that is halfway up, not at the end. The world's own split holds; part of its training
 * wordings becomes calibration, each as it is written.
 */
import { promptKey } from '#training/data/prompt-key.ts';
import { inEdition } from '../world/editions.ts';
import { generateQuestions } from '../world/generate.ts';
import { loadTopics } from '../world/load-topics.ts';
import type { QuestionKind, QuestionRow } from '../world/rows.ts';
import { BENIGN, type Example, type Split, targetsOf } from './example.ts';
import { WORLD_SOURCE } from './licences.ts';
import { splitOf } from './split.ts';

const TARGETS: Record<QuestionKind, number> = { ordinary: 0, borderline: 0.7, harmful: 1 };
/**
 * About twice around the wordings of an ask: once as written, once in a greeting, a reason, a
 * typing slip.
 */
const PER_ASK = { train: 16, heldout: 4 } as const;

/**
 * So many, and so alike, that at full weight they would be most of what is learned, to the cost of
 * everyone else's prompts.
 */
const WEIGHT = 0.4;

/**
 * `inDemo`: of a topic that the demo bundle knows. The others are there because all fourteen
 * categories have some.
 */
export type WorldExample = Example & { questionKind: QuestionKind; inDemo: boolean };

export function worldPrompts({ seed }: { seed: number }): WorldExample[] {
  // Without what was written since: the shipped model and its card come from these.
  const topics = loadTopics({ edition: 'whole', additionsDir: null });
  const train = generateQuestions({ seed, split: 'train', perAsk: PER_ASK.train, topics });
  const heldout = generateQuestions({ seed, split: 'heldout', perAsk: PER_ASK.heldout, topics });
  const calibrates = ({ wording }: QuestionRow) => splitOf(promptKey(wording)) === 'calibration';
  return [
    ...train.filter((row) => !calibrates(row)).map((row) => toExample(row, 'train')),
    ...train
      .filter((row) => calibrates(row) && row.messages[0].content === row.wording)
      .map((row) => toExample(row, 'calibration')),
    ...heldout.map((row) => toExample(row, 'heldout')),
  ];
}

function toExample({ messages, category, questionKind, topic }: QuestionRow, split: Split): WorldExample {
  const targets = category === null ? BENIGN : targetsOf([category], { value: TARGETS[questionKind] });
  return {
    text: messages[0].content,
    source: WORLD_SOURCE,
    split,
    targets,
    someHarm: false,
    weight: WEIGHT,
    scary: false,
    questionKind,
    inDemo: inEdition('first', topic),
  };
}
