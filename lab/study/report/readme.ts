/** The report's page: first what was found, then the numbers behind it. */
import { formatSeconds } from '#training/run/progress.ts';
import { HEADLINE, lineMethods } from '../analysis/contenders.ts';
import type { Outcome, Verdict } from '../analysis/hypotheses.ts';
import type { Study } from '../analysis/study.ts';
import type { Registration } from '../results/registration.ts';
import type { SetInfo } from '../results/results.ts';
import { figureWords, idleRouters, readerWords, samplingWords, shippedWords } from './caveats.ts';
import { formatDifference, MISSING, NONE, table } from './format.ts';
import type { PlotName } from './plots/plots.ts';
import { better, claim, gaps, overServed, place, statement } from './statements.ts';
import {
  differencesTable,
  ENGINE,
  floorsTable,
  frontierTable,
  headlineMethods,
  judgesTable,
  methodList,
  methodsTable,
  OUTCOMES,
  prefillTable,
  realTable,
  runsTable,
} from './tables.ts';

export function readme(
  study: Study,
  {
    outcomes,
    drawn,
    registration,
  }: { outcomes: readonly Outcome[]; drawn: ReadonlySet<PlotName>; registration: Registration },
): string {
  const { methods, sets, seeds, seconds, judges, learnedFrom } = study.results;
  const count = (verdict: Verdict) => outcomes.filter((outcome) => outcome.verdict === verdict).length;
  const plot = (name: PlotName, alt: string, lost: string) =>
    drawn.has(name) ? `![${alt}](${name}.svg)` : `${MISSING}: ${lost}`;
  const real = sets.filter(({ world }) => !world);
  const missing = gaps(study);
  const { world } = study;
  const hasCells = (key: 'method' | 'set') => {
    const used = new Set(study.results.cells.map((cell) => cell[key]));
    return ({ id }: { id: string }) => used.has(id);
  };
  const [answered, asked] = [methods.filter(hasCells('method')), sets.filter(hasCells('set'))];
  return `# Evaluation

\`npx plimsoll study recompute docs/evaluation/results.jsonl.gz --report FOLDER\` writes this page. The file
[results.jsonl.gz](results.jsonl.gz) holds every figure of every answer. Every number, and every sentence about one,
comes from [the code](../../lab/study/report). The numbers alone are in [summary.json](summary.json).

${plural(answered.length, 'method')} with answers${ofPlanned(answered, methods)}; ${plural(seeds.length, 'seed')}; ${plural(asked.length, 'set')} of questions${ofPlanned(asked, sets)}.
Questions by set: ${asked.map(({ label, questions }) => `${label} ${questions}`).join(', ')}.
${baseSentence(study)} Every run learned from ${learnedFrom}. Training took ${formatSeconds(seconds.training)}, answering
${formatSeconds(seconds.generating)}.
${shippedWords(study)}${retrainedSentences(study)}
${samplingWords(registration.design)}

**Intervals** cover 95 % and take in the luck of the questions and of the training runs. We draw whole topics with
their questions 4,000 times, and add the spread of the seeds by Student's t
([bootstrap.ts](../../lab/study/analysis/bootstrap.ts) says why). Two methods are compared on the same questions and the
same seeds, by the difference on each question. An interval over one seed does not cover how training runs differ, and
decides nothing about a method. A claim about a bundle that is served rests on that bundle alone.

**Hypotheses** were written before the first answer: methods, set, measure, direction and margin
([hypotheses.json](../../lab/study/hypotheses.json), SHA-256 \`${registration.hypotheses.slice(0, 12)}\`,
${registration.commit === null ? 'not in git' : `commit \`${registration.commit.slice(0, 12)}\``}, registered on ${registration.registered.slice(0, 10)}),
and with them what was to be asked of whom: part ${registration.design.part}, the questions, how answers are drawn, and what each seed learns from.
Each of them may be wrong one time in twenty: of ${outcomes.length}, about ${(0.05 * outcomes.length).toFixed(1)}.

**Figures.** ${figureWords(study)}

## In short

Of ${outcomes.length} hypotheses, ${count('confirmed')} were confirmed, ${count('refuted')} refuted, ${count('not decided')} not decided, and ${count('missing')} could not be tested.
${better(study)}
${overServed(study) ?? ''}
${idleRouters(study, outcomes)}
${plot('plane', 'Safety against helpfulness of every method, with intervals', 'no method has both figures.')}

## What was confirmed

${list(study, outcomes, ['confirmed'], 'Nothing.')}

## What was not

Refuted:

${list(study, outcomes, ['refuted'], 'nothing.')}

Not decided:

${list(study, outcomes, ['not decided'], 'nothing.')}

${count('missing') > 0 ? `Not tested, because something is missing:\n\n${list(study, outcomes, ['missing'], '')}\n\n` : ''}### All hypotheses

Differences are the first method minus the second.

${hypothesesTable(study, outcomes)}

## Methods

${methodList(study)}

Tokens are summed over all runs that a method needs, including reward and cost models but not the base, and averaged
over seeds.

## The small world

${study.results.study === 'recipes' ? `This base has not learned the world, and the oracle reads only the world's own sentences. Here *unsafe* and *recall* say\nlittle, and no hypothesis rests on them; *unknown sentences* says how much the oracle could not read.\n` : ''}
${world ? world.what : `${MISSING}: no set of the world.`}

${world && study.results.cells.some(({ set }) => set === world.id) ? worldTables(study, world) : 'No method has answered it.'}

${floorsSection(study, plot)}## Budgets alone

A budget of K nats says that no answer, and no set of answers, is drawn more than e^K times as often as the safety
expert draws it under the same sampling. At 0 that expert answers alone. At 1 the factor is 2.7, at 4 it is 55, and at
20 it is ${Math.round(Math.exp(20)).toLocaleString('en-US')}: a number that promises little by itself. What each budget is worth here, with nothing else holding the
constant weight back:

${plot('frontier', 'The figures of the table against the budget, with earned budgets beside it', 'no budget was run alone.')}

${frontierTable(study)}

${weightsSection(drawn, plot)}## Prefill attacks

The attack makes the answer begin with the first tokens of a hazardous one. The figures are unsafe answers in percent,
on the questions that were attacked. Only what follows the sentence that the attack began counts, because under any line
that sentence ends as it began.

${plot('prefill', 'Unsafe share against the number of prefilled tokens', 'no answer was begun.')}

${prefillTable(study)}

## Real prompts

None of them has trained or calibrated the edge's classifier, which draws the lines that are served, but for what
[the list of gaps](#what-is-missing) names. The classifier has learned all topics of the small world: there, what is
served looks better than it is.

${real.length > 0 ? 'Answers judged by models.' : `${MISSING}: no set of real prompts.`}

${judges.length > 0 ? `How far the judges can be trusted:\n\n${readerWords(study)}${judgesTable(study)}` : `${MISSING}: no judge. The figures below need none.`}

${real.map((set) => `### ${set.label}\n\n${set.what}\n\n${realTable(study, set)}`).join('\n\n')}

## Training runs

${runsTable(study)}

## What is missing

${missing.length > 0 ? missing.map((text) => `- ${text}`).join('\n') : 'Nothing: every method answered every set.'}

## What this scale can and cannot say

- **The base is small.** ${baseSentence(study)} An effect that needs a model that can reason about harm cannot show
  here.
- **The world is synthetic.** Its pairs are labelled by construction, and the oracle reads by the same list of sentences,
  so labels carry no noise. People's preferences disagree.
- **The oracle reads only known sentences.** An answer of unknown sentences counts as safe and as unhelpful. If
  *unknown sentences* is high, *unsafe* is a lower bound.
- **Sizes do not carry over.** How many points a mechanism is worth on another base has to be measured there.
`;
}

type DrawPlot = (name: PlotName, alt: string, lost: string) => string;

/** The lines are read on the plane of the small world. Where it was not asked, there is nothing. */
function floorsSection(study: Study, plot: DrawPlot): string {
  const ids = new Set(lineMethods(study).map(({ id }) => id));
  const set = study.world?.id;
  if (!study.results.cells.some((cell) => cell.set === set && ids.has(cell.method))) return '';
  return `## Floors and budgets

${plot('floors', 'The logits router under floors on the same plane, one curve per budget', 'no router was run under a line.')}

${floorsTable(study)}

The plot shows the seeds that all lines share. The table shows all seeds of each.

`;
}

function weightsSection(drawn: ReadonlySet<PlotName>, plot: DrawPlot): string {
  if (!drawn.has('weights-along') && !drawn.has('weights-by-category')) return '';
  return `## Where the safety weight goes

${plot('weights-along', 'Mean safety weight along the tokens of an answer, by kind of question', "no router's weights were kept.")}

${plot('weights-by-category', 'Mean safety weight by category of harm', "no router's weights were measured.")}

`;
}

/** What the oracle and the engine say of answers about the world, and how methods differ there. */
const worldTables = (study: Study, world: SetInfo): string => `${methodsTable(study, world, OUTCOMES)}

${methodsTable(study, world, ENGINE)}

KL is the mean of log p - log p_expert over the answer's own tokens. ${NONE}: the method has no such figure (one policy has no
second expert).

${study.results.study === 'world' ? differences(study) : ''}`;

const differences = (study: Study): string => `### Differences

On the small world, in percentage points. These comparisons were not planned. A difference is bold if its interval
excludes 0 and covers two seeds or more.

${HEADLINE.map((id, i) => `<details><summary>${headlineMethods(study)[i]} against each alternative</summary>\n\n${differencesTable(study, id)}\n\n</details>`).join('\n\n')}`;

function baseSentence(study: Study): string {
  const { parameters, steps } = study.results.base;
  const trained = steps === null ? 'taken from a bundle' : `whose last run took ${steps.toLocaleString('en-US')} steps`;
  return `All methods share one base of ${(parameters / 1e6).toFixed(1)} million parameters, ${trained}.`;
}

const ofPlanned = (some: readonly unknown[], all: readonly unknown[]) =>
  some.length === all.length ? '' : `, of ${all.length} planned`;

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;

function list(study: Study, outcomes: readonly Outcome[], verdicts: readonly Verdict[], none: string): string {
  const chosen = outcomes.filter(({ verdict }) => verdicts.includes(verdict));
  return chosen.length > 0 ? chosen.map((outcome) => `- ${statement(study, outcome)}`).join('\n') : none;
}

function hypothesesTable(study: Study, outcomes: readonly Outcome[]): string {
  return table(
    ['claim', 'on', 'source', 'difference', 'seeds', 'verdict'],
    outcomes.map(({ hypothesis, first, second, verdict, difference }) => [
      claim(hypothesis, first, second),
      place(study, hypothesis),
      hypothesis.source,
      difference ? formatDifference(difference, hypothesis.measure) : MISSING,
      difference ? String(difference.seeds) : NONE,
      verdict === 'missing' ? MISSING : `**${verdict}**`,
    ]),
  );
}

/** Which answers are of a second training, if there was one. */
function retrainedSentences({ results: { retrained = [] }, method }: Study): string {
  if (retrained.length === 0) return '';
  const told = retrained.map(({ seed, digest, cells }) => {
    const asked = [...Map.groupBy(cells, (cell) => cell.method)].map(([id, own]) => {
      const sets = [...new Set(own.map(({ set }) => set))];
      return `${method(id)?.label ?? id} on ${sets.join(', ')}`;
    });
    return `- seed ${seed}, \`${digest.slice(0, 12)}\`: ${asked.join('; ')}`;
  });
  return `
**Trained again.** The recipes of some seeds were lost, and trained again by the same command. They came out otherwise
than what was registered, because rounding differs from one processor to another. These answers are of the second
training. No comparison puts them beside the first:

${told.join('\n')}
`;
}
