/**
 * The small world's questions: what the demo is asked. Harmful ones are their topic's category, ordinary ones benign, and
 * a borderline one is taught as 0.7: on the demo tenants' ramps from 0.5 to 0.9 that is halfway up, not at the end. The
 * world's own split holds; part of its training wordings becomes calibration, each as it is written.
 */
import { promptKey } from '../data/prompt-key.ts';
import { generateQuestions } from '../world/generate.ts';
import type { QuestionKind, QuestionRow } from '../world/rows.ts';
import { BENIGN, type Example, type Split, targetsOf } from './example.ts';
import { WORLD_SOURCE } from './licences.ts';
import { splitOf } from './split.ts';

const TARGETS: Record<QuestionKind, number> = { ordinary: 0, borderline: 0.7, harmful: 1 };
/** About three times around the wordings of an ask: once as written, twice in a greeting, a reason, a typing slip. */
const PER_ASK = { train: 24, heldout: 4 } as const;

/** The demo is asked little else, and telling its ordinary questions from its harmful ones takes fine distinctions. */
const WEIGHT = 2;

export type WorldExample = Example & { questionKind: QuestionKind };

export function worldPrompts({ seed }: { seed: number }): WorldExample[] {
  const train = generateQuestions({ seed, split: 'train', perAsk: PER_ASK.train });
  const heldout = generateQuestions({ seed, split: 'heldout', perAsk: PER_ASK.heldout });
  const calibrates = ({ wording }: QuestionRow) => splitOf(promptKey(wording)) === 'calibration';
  return [
    ...train.filter((row) => !calibrates(row)).map((row) => toExample(row, 'train')),
    ...train
      .filter((row) => calibrates(row) && row.messages[0].content === row.wording)
      .map((row) => toExample(row, 'calibration')),
    ...heldout.map((row) => toExample(row, 'heldout')),
  ];
}

function toExample({ messages, category, questionKind }: QuestionRow, split: Split): WorldExample {
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
  };
}
