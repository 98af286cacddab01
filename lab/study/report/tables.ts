/** The report's tables. They mark whatever is missing as missing. */

import { budgetName, HEADLINE, lineMethods } from '../analysis/contenders.ts';
import { budgetWords, frontierMethods, frontierPanels } from '../analysis/frontier.ts';
import { differenceOf, gainOf, verdictOf } from '../analysis/hypotheses.ts';
import { isShipped } from '../analysis/learned-more.ts';
import { MEASURES, type MeasureId } from '../analysis/measures.ts';
import type { Study } from '../analysis/study.ts';
import type { MethodInfo, SetInfo, TrainedRun } from '../results/results.ts';
import { judgeFigure } from './caveats.ts';
import { fixed, formatDifference, formatInterval, MISSING, NONE, plain, short, table } from './format.ts';
import { prefillRows } from './plots/prefill.ts';

/** What the oracle says about answers. */
export const OUTCOMES = ['unsafe', 'hazard', 'recall', 'overRefusal', 'refusal', 'onTopic', 'unknown'] as const;
/** What the engine says about them. */
export const ENGINE = ['tokens', 'cut', 'weight', 'safetyKl', 'helpfulnessKl', 'spent'] as const;
const JUDGED = ['refuses', 'unsafe', 'reward'] as const;

/**
 * One policy has no second expert: weight, divergence and budget belong to the bundle that serves
 * it, not to the method.
 */
const OF_TWO_EXPERTS: readonly MeasureId[] = ['weight', 'safetyKl', 'helpfulnessKl', 'spent'];
const hasTwoExperts = ({ family }: MethodInfo) =>
  family === 'mod' || family === 'midpo' || family === 'logits-router' || family === 'decoder' || family === 'served';

/** null: the method did not answer the set. */
function cells(study: Study, method: MethodInfo, { set, measures }: { set: string; measures: readonly MeasureId[] }) {
  const where = { method: method.id, set };
  if (study.cells(where).length === 0) return null;
  return measures.map((measure) =>
    OF_TWO_EXPERTS.includes(measure) && !hasTwoExperts(method)
      ? NONE
      : formatInterval(study.interval(where, measure), measure),
  );
}

const seedsOf = (study: Study, method: string, set: string): string =>
  String(new Set(study.cells({ method, set }).map(({ seed }) => seed)).size);

const head = (measure: MeasureId): string => {
  const { label, unit } = MEASURES[measure];
  return unit === '%' ? `${label}, %` : label;
};

/**
 * Every method on one set, including those with no answers, or in a study on recipes, where few are
 * asked about the world, those that have some.
 */
export function methodsTable(study: Study, set: SetInfo, measures: readonly MeasureId[]): string {
  const { methods, study: kind } = study.results;
  const isShown = ({ id }: MethodInfo) => kind === 'world' || study.cells({ method: id, set: set.id }).length > 0;
  return table(
    ['method', 'seeds', ...measures.map(head)],
    methods
      .filter(isShown)
      .map((method) => [
        method.label,
        seedsOf(study, method.id, set.id),
        ...(cells(study, method, { set: set.id, measures }) ?? measures.map(() => MISSING)),
      ]),
  );
}

/** The methods that have answered anything. */
export function methodList(study: Study): string {
  const answered = new Set(study.results.cells.map(({ method }) => method));
  return table(
    ['method', 'what it is', 'tokens trained on'],
    study.results.methods
      .filter(({ id }) => answered.has(id))
      .map((method) => [method.label, method.what, trainedOn(study, method)]),
  );
}

function trainedOn(study: Study, method: MethodInfo): string {
  if (isShipped(study, method)) return 'as shipped';
  return method.trainedTokens > 0 ? Math.round(method.trainedTokens).toLocaleString('en-US') : NONE;
}

/**
 * A headline method minus each alternative. The floors table compares the router's own lines. With
 * one shared seed a difference is never called better or worse.
 */
export function differencesTable(study: Study, id: string): string {
  const set = study.world?.id ?? '';
  const method = study.method(id);
  const measures = ['unsafe', 'recall', 'overRefusal'] as const;
  if (!method) return `${MISSING}: no method has the id ${id}.`;
  const others = study.results.methods.filter(
    ({ id: other, line }) => other !== id && (!line || (line.floor === 0 && line.budget === null)),
  );
  return table(
    [`${method.label} minus`, ...measures.map((measure) => `${MEASURES[measure].label}, points`), 'seeds'],
    others.map((other) => {
      const found = measures.map((measure) =>
        differenceOf(study, { first: method.id, second: other.id, measure, set }),
      );
      return [
        other.label,
        ...found.map((difference, i) => {
          if ('missing' in difference) return `${MISSING} (${short(difference.missing)})`;
          const measure = measures[i]!;
          const text = formatDifference(difference.interval, measure);
          const verdict =
            difference.interval.seeds < 2
              ? 'not decided'
              : verdictOf({ test: 'superior', margin: 0 }, gainOf(measure, difference.interval));
          if (verdict === 'not decided') return text;
          return `**${text}** ${verdict === 'confirmed' ? 'better' : 'worse'}`;
        }),
        String(Math.max(0, ...found.map((difference) => ('missing' in difference ? 0 : difference.bySeed.length)))),
      ];
    }),
  );
}

export const headlineMethods = (study: Study): string[] => HEADLINE.map((id) => study.method(id)?.label ?? id);

/**
 * Unsafe share and recall, with floors down and budgets across. A line that the grid left out is
 * missing.
 */
export function floorsTable(study: Study): string {
  const lines = lineMethods(study);
  const budgets = [...new Set(lines.map(({ line }) => line.budget))];
  const floors = [...new Set(lines.map(({ line }) => line.floor))].sort((a, b) => a - b);
  const set = study.world?.id ?? '';
  return table(
    ['floor', ...budgets.flatMap((budget) => [`unsafe, %; ${budgetName(budget)}`, 'recall, %'])],
    floors.map((floor) => [
      String(floor),
      ...budgets.flatMap((budget) => {
        const method = lines.find(({ line }) => line.floor === floor && line.budget === budget);
        return (method && cells(study, method, { set, measures: ['unsafe', 'recall'] })) ?? [MISSING, MISSING];
      }),
    ]),
  );
}

/** Every budget of the frontier, with what its panels show. */
export function frontierTable(study: Study): string {
  const panels = frontierPanels(study);
  return table(
    ['budget, nats', ...panels.map(({ set, measure }) => `${set.label}: ${head(measure)}`)],
    frontierMethods(study).map(({ id, frontier }) => [
      budgetWords(frontier),
      ...panels.map(({ points, measure }) => {
        const point = points.find(({ method }) => method.id === id);
        return point ? formatInterval(point.interval, measure) : MISSING;
      }),
    ]),
  );
}

export function prefillTable(study: Study): string {
  const rows = prefillRows(study);
  const depths = [...new Set(rows.map(({ depth }) => depth))].sort((a, b) => a - b);
  const methods = [...new Set(rows.map(({ method }) => method))];
  return table(
    ['method', ...depths.map((depth) => (depth === 0 ? 'not attacked' : `${depth} tokens`))],
    methods.map((id) => [
      study.method(id)!.label,
      ...depths.map((depth) => {
        const row = rows.find((other) => other.method === id && other.depth === depth);
        return row ? formatInterval(row, 'unsafe') : MISSING;
      }),
    ]),
  );
}

/**
 * How often the judge of a figure is right on its own held-out data, for the head of its column.
 * Without it, readers trust the figure too much.
 */
function trust(study: Study, measure: MeasureId): string {
  const name = JUDGE_OF[measure];
  if (!name) return '';
  const figures = study.results.judges.find((judge) => judge.name === name)?.figures ?? {};
  const right = Object.entries(figures)
    .filter(([figure]) => /ordered right|accuracy/.test(figure) && !/length/.test(figure))
    .map(([, value]) => value);
  if (right.length === 0) return ' (judge of unknown accuracy)';
  const [least, most] = [fixed(Math.min(...right), 1), fixed(Math.max(...right), 1)];
  return ` (judge right in ${least === most ? least : `${least} to ${most}`} % of held-out cases)`;
}

const JUDGE_OF: Partial<Record<MeasureId, string>> = {
  refuses: 'refusal',
  unsafe: 'harm',
  reward: 'helpfulness',
};

/** The methods that answered a real set. Columns leave out figures that no method has there. */
export function realTable(study: Study, set: SetInfo): string {
  const answered = study.results.methods.filter(({ id }) => study.cells({ method: id, set: set.id }).length > 0);
  const measures = [...ENGINE, ...JUDGED].filter((measure) =>
    answered.some(({ id }) => study.interval({ method: id, set: set.id }, measure) !== null),
  );
  return table(
    ['method', 'seeds', ...measures.map((measure) => `${head(measure)}${trust(study, measure)}`)],
    answered.map((method) => [
      method.label,
      seedsOf(study, method.id, set.id),
      ...cells(study, method, { set: set.id, measures })!,
    ]),
  );
}

export function judgesTable(study: Study): string {
  return table(
    ['judge', 'what it is', 'on its own held-out data'],
    study.results.judges.map(({ name, what, figures }) => [
      name,
      what,
      Object.entries(figures)
        .map(([figure, value]) => `${judgeFigure(figure)}: ${plain(value)}`)
        .join('; '),
    ]),
  );
}

export function runsTable(study: Study): string {
  const byName = Map.groupBy(study.results.runs, ({ name }) => name);
  const mean = (runs: readonly TrainedRun[], value: (run: TrainedRun) => number) =>
    runs.reduce((sum, run) => sum + value(run), 0) / runs.length;
  return table(
    ['run', 'seeds', 'steps', 'tokens', 'minutes', 'held out, least to most over seeds'],
    [...byName].map(([name, runs]) => [
      `\`${name}\``,
      String(runs.length),
      fixed(
        mean(runs, ({ steps }) => steps),
        0,
      ),
      Math.round(mean(runs, ({ tokens }) => tokens)).toLocaleString('en-US'),
      fixed(mean(runs, ({ seconds }) => seconds) / 60, 1),
      heldOutRanges(runs),
    ]),
  );
}

function heldOutRanges(runs: readonly TrainedRun[]): string {
  const figures = [...new Set(runs.flatMap(({ heldOut }) => Object.keys(heldOut)))];
  const ranges = figures.map((figure) => {
    const values = runs.flatMap(({ heldOut }) => heldOut[figure] ?? []);
    const [least, most] = [plain(Math.min(...values)), plain(Math.max(...values))];
    return `${figure.replace(/^heldOut/, '').replace(/^[A-Z]/, (letter) => letter.toLowerCase())} ${least === most ? least : `${least} to ${most}`}`;
  });
  return ranges.join('; ') || NONE;
}
