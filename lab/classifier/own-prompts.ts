/**
 * Prompts written for this project. The permissive sets hold few prompts for some labels, and
 * hardly any safe prompts with frightening words. There are questions (own-questions.ts), and the
 * things people put around them to talk a model out of its line (own-jailbreaks.ts).
 */
import { type Example, targetsOf } from './example.ts';
import { OWN_SOURCE } from './licences.ts';
import { ownJailbreaks } from './own-jailbreaks.ts';
import { ownQuestions } from './own-questions.ts';
import type { Question } from './question.ts';

/**
 * Deterministic in `seed`. The split is by phrase, by request, and by whatever is put around them.
 */
export function ownPrompts({ seed }: { seed: number }): Example[] {
  const { harmful, safe } = ownQuestions({ seed });
  return [...[...harmful, ...safe].map(toExample), ...ownJailbreaks({ seed, harmful, safe })];
}

function toExample({ text, label, split, scary }: Question): Example {
  const targets = targetsOf(label === null ? [] : [label]);
  return { text, source: OWN_SOURCE, split, targets, someHarm: false, weight: 1, scary };
}
