/** The report's page: first what was found, then the numbers behind it. */
import { formatSeconds } from '#training/run/progress.ts';
import { METHOD } from '../analysis/contenders.ts';
import { MARGIN, type Outcome, type Verdict } from '../analysis/hypotheses.ts';
import type { Study } from '../analysis/study.ts';
import { formatDifference, MISSING, NONE, table } from './format.ts';
import type { PlotName } from './plots/plots.ts';
import { front, gaps, statement } from './statements.ts';
import {
  differencesTable,
  ENGINE,
  floorsTable,
  headlineMethods,
  judgesTable,
  methodList,
  methodsTable,
  OUTCOMES,
  prefillTable,
  realTable,
  runsTable,
} from './tables.ts';

export function readme(study: Study, outcomes: readonly Outcome[], drawn: ReadonlySet<PlotName>): string {
  const { methods, sets, seeds, seconds, judges } = study.results;
  const count = (verdict: Verdict) => outcomes.filter((outcome) => outcome.verdict === verdict).length;
  const plot = (name: PlotName, alt: string, lost: string) =>
    drawn.has(name) ? `![${alt}](${name}.svg)` : `${MISSING}: ${lost}`;
  const real = sets.filter(({ world }) => !world);
  const best = front(study);
  const missing = gaps(study);
  const { world } = study;
  return `# Evaluation

\`npx plimsoll study report\` wrote this page from what \`npx plimsoll study run\` measured. Every number, and every
sentence about one, comes from [the code](../../lab/study/report). The numbers alone are in
[summary.json](summary.json).

${methods.length} methods, ${plural(seeds.length, 'seed')}, ${plural(sets.length, 'set')} of questions.
Questions by set: ${sets.map(({ label, questions }) => `${label} ${questions}`).join(', ')}.
${baseSentence(study)} Training took ${formatSeconds(seconds.training)}, answering
${formatSeconds(seconds.generating)}.

**Intervals** are 95 % bootstrap intervals: we resample the questions 2,000 times, each with its answers under all
seeds. Two methods are compared on the same questions and the same seeds, by the difference on each question. An
interval does not cover the luck of a training run, so differences are also given by seed. Each interval misses the
truth one time in twenty: of ${outcomes.length}, about ${(0.05 * outcomes.length).toFixed(1)} do.

**Figures.** *Unsafe*: the oracle found a hazard in the answer. *Recall*: the share of the facts asked for that the
answer names. *Refuses*: the answer declines. *Unknown sentences*: the share of its sentences that the oracle does not
know, so it cannot say whether they are safe.

## In short

Of ${outcomes.length} hypotheses, ${count('confirmed')} were confirmed, ${count('refuted')} refuted, ${count('not decided')} not decided, and ${count('missing')} could not be tested.
${best.length > 0 ? `Judged by the means, these are not beaten on safety and helpfulness at once: ${best.join('; ')}.` : 'No method has both safety and helpfulness measured.'}

${plot('plane', 'Safety against helpfulness of every method, with intervals', 'no method has both figures.')}

## What was confirmed

${list(outcomes, ['confirmed'], 'Nothing.')}

## What was not

Refuted:

${list(outcomes, ['refuted'], 'nothing.')}

Not decided, because the interval contains both answers:

${list(outcomes, ['not decided'], 'nothing.')}

${count('missing') > 0 ? `Not tested, because something is missing:\n\n${list(outcomes, ['missing'], '')}\n\n` : ''}### All hypotheses

*As good as* means a loss of less than ${MARGIN} percentage points. Differences are the first method minus the second.

${hypothesesTable(outcomes)}

## Methods

${methodList(study)}

Tokens are summed over all runs that a method needs, including reward and cost models but not the base, and averaged
over seeds.

## The small world

${world ? world.what : `${MISSING}: no set of the world.`}

${world ? methodsTable(study, world, OUTCOMES) : ''}

${world ? methodsTable(study, world, ENGINE) : ''}

KL is the mean of log p - log p_expert over the answer's own tokens. ${NONE}: the method has no such figure (one policy has no
second expert).

### Differences

On the small world, in percentage points. A difference is bold if its interval excludes 0.

${[METHOD.faithful, METHOD.corrected, METHOD.logits].map((id, i) => `<details><summary>${headlineMethods(study)[i]} against each alternative</summary>\n\n${differencesTable(study, id)}\n\n</details>`).join('\n\n')}

## Floors and budgets

${plot('floors', 'The logits router under floors on the same plane, one curve per budget', 'no router was run under a line.')}

${floorsTable(study)}

The plot shows the seeds that all lines share. The table shows all seeds of each.

## Where the safety weight goes

${plot('weights-along', 'Mean safety weight along the tokens of an answer, by kind of question', "no router's weights were kept.")}

${plot('weights-by-category', 'Mean safety weight by category of harm', "no router's weights were measured.")}

## Prefill attacks

The attack makes the answer begin with the first tokens of a hazardous one. The figures are unsafe answers in percent,
on the questions that were attacked. Only what follows the sentence that the attack began counts, because under any line
that sentence ends as it began.

${plot('prefill', 'Unsafe share against the number of prefilled tokens', 'no answer was begun.')}

${prefillTable(study)}

## Real prompts

${real.length > 0 ? "Prompts that people wrote, with answers judged by models. A base trained on the small world answers them with the small world's sentences. So these sets compare the mixing (weight, divergence, budget) rather than the answers." : `${MISSING}: no set of real prompts.`}

${judges.length > 0 ? `How far the judges can be trusted:\n\n${judgesTable(study)}` : `${MISSING}: no judge. The figures below need none.`}

${real.map((set) => `### ${set.label}\n\n${set.what}\n\n${realTable(study, set)}`).join('\n\n')}

## Training runs

${runsTable(study)}

## What is missing

${missing.length > 0 ? missing.map((text) => `- ${text}`).join('\n') : 'Nothing: every method answered every set.'}

## What this scale can and cannot say

- **The base is small.** ${baseSentence(study)} It
  recites sentences of a small world that was written for it. What it says about other subjects is noise. An effect that
  needs a model that can reason about harm cannot show here.
- **The world is synthetic.** Pairs are labelled by construction, and the oracle reads by the same list of sentences, so
  labels carry no noise. People's preferences disagree. Margins learned from them, and D_dual, would be worse than here.
- **Sentences are recited.** Training and questions share their sentences (the wordings of questions are held out, not
  the answers' sentences). So unsafe shares say which known sentences a method picks, not what new harm it could think
  of.
- **The oracle reads only known sentences.** An answer of unknown sentences counts as safe and as unhelpful. If
  *unknown sentences* is high, *unsafe* is a lower bound.
- **The order of methods is evidence, the sizes of differences are not.** If a mechanism works or fails here, with
  everything else held equal, that is a reason to expect the same elsewhere. How many points it is worth has to be
  measured there.
- **Few seeds.** Intervals are over questions. Do not believe a difference whose sign changes between seeds, whatever
  its interval.
`;
}

function baseSentence(study: Study): string {
  const { parameters, steps } = study.results.base;
  const trained = steps === null ? 'taken from a bundle' : `whose last run took ${steps.toLocaleString('en-US')} steps`;
  return `All methods share one base of ${(parameters / 1e6).toFixed(1)} million parameters, ${trained}.`;
}

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;

function list(outcomes: readonly Outcome[], verdicts: readonly Verdict[], none: string): string {
  const chosen = outcomes.filter(({ verdict }) => verdicts.includes(verdict));
  return chosen.length > 0 ? chosen.map((outcome) => `- ${statement(outcome)}`).join('\n') : none;
}

function hypothesesTable(outcomes: readonly Outcome[]): string {
  return table(
    ['claim', 'source', 'test', 'difference, points', 'verdict'],
    outcomes.map(({ says, source, test, verdict, difference, measure }) => [
      says,
      source,
      test,
      difference ? formatDifference(difference, measure) : MISSING,
      verdict === 'missing' ? MISSING : `**${verdict}**`,
    ]),
  );
}
