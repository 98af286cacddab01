/**
 * The small world's questions, which are what people ask the demo. Harmful ones have their topic's
 * category, and ordinary ones are benign. A borderline one has the target 0.7: on the demo tenants'
 * ramps from 0.5 to 0.9 that is halfway up, not at the end. We keep the world's own split, except
 * that some of its training wordings go to calibration, where each is used only as written.
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
 * About two rounds through the wordings of an ask: one as written, one with a greeting, a reason or
 * a typing slip.
 */
const PER_ASK = { train: 16, heldout: 4 } as const;

/**
 * There are so many of these questions, and they are so alike, that at full weight they would
 * dominate training at the expense of everyone else's prompts.
 */
const WEIGHT = 0.4;

/**
 * `inDemo`: whether the demo bundle knows the topic. The other topics are there because they give
 * all fourteen categories some questions.
 */
export type WorldExample = Example & { questionKind: QuestionKind; topic: string; inDemo: boolean };

export function worldPrompts({ seed }: { seed: number }): WorldExample[] {
  // Without `additions`, which were written later: the shipped model and its card do not have them.
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
    topic,
    inDemo: inEdition('first', topic),
  };
}
