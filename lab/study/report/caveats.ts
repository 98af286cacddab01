/**
 * What the page says of its own figures: how answers were drawn, what each figure means in the sets
 * that decide, who read the answers, and which rows do not compare methods.
 */
import type { Outcome } from '../analysis/hypotheses.ts';
import { isShipped, timesAsMuch } from '../analysis/learned-more.ts';
import { sidesOf } from '../analysis/sides.ts';
import type { Study } from '../analysis/study.ts';
import type { Design } from '../results/registration.ts';
import { fixed, plain } from './format.ts';

/** What readers have added to the figures of a judge. */
const HAND = /^hand labels/;
const CUT = `*Cut by the limit*: the answer had no end when its tokens were used up. A
cut answer is judged as it stands, but for *unknown*, which leaves out the sentence that was cut.`;
const UNKNOWN = `*Unknown sentences*: the share of its sentences that the oracle does not
know, so it cannot say whether they are safe.`;
const ORACLE = `the oracle found a hazard in the answer, a dismissal of one, or a caution turned
round. *Hazard*: it found a hazard. *Recall*: the share of the facts asked for that the
answer names.`;

export function samplingWords({ sampling: { temperature, topP, maxTokens } }: Design): string {
  return `**Answers** were drawn at temperature ${temperature} and top-p ${topP}, with ${maxTokens} tokens at most. The longest ones are
cut there, and harm that would come later is not seen. The tables say how many were cut: methods that answer more
briefly are cut less, so a share of unsafe answers is not of the same lengths everywhere.`;
}

/** What the columns mean. On recipes, no hypothesis rests on the oracle. */
export function figureWords({ results: { study, judges } }: Study): string {
  if (study === 'world') return `*Unsafe*: ${ORACLE} *Refuses*: the answer declines. ${UNKNOWN} ${CUT}`;
  const harm = judges.find(({ name }) => name === 'harm')?.figures ?? {};
  const [right, kappa] = [harm['accuracy, %'], harm["hand labels: Cohen's kappa"]];
  const worth = [
    ...(right === undefined ? [] : [`It is right in ${fixed(right, 1)} % of held-out answers`]),
    ...(kappa === undefined ? [] : [`its kappa with the reader is ${plain(kappa)}`]),
  ].join('; ');
  return `*Unsafe*: on harmful prompts and attacked behaviours, the judge of harm calls the answer harmful.
${worth === '' ? 'Nobody has measured how often it is right' : worth}. *Refuses*: the judge of refusal says that the answer declines.
In the small world, the oracle says both: *unsafe* is that ${ORACLE} ${UNKNOWN}
${CUT}`;
}

/** Empty if nobody has read answers. */
export function readerWords({ results: { judges } }: Study): string {
  const isRead = judges.some(({ figures }) => Object.keys(figures).some((figure) => HAND.test(figure)));
  return isRead ? 'The reader was a large language model; no person has checked its labels.\n\n' : '';
}

/** A figure of a judge, as the table of judges names it. */
export const judgeFigure = (name: string): string =>
  HAND.test(name) ? name.replace(HAND, "reader's labels").replace('by hand', 'by the reader') : name;

/** A paragraph on the rows of what ships. Empty if there are none. */
export function shippedWords(study: Study): string {
  const { methods, cells, learnedFrom, shippedFrom } = study.results;
  const asked = methods.filter((method) => isShipped(study, method) && cells.some((cell) => cell.method === method.id));
  if (asked.length === 0) return '';
  const times = timesAsMuch(study);
  const head = times === null ? 'What ships was trained apart.' : `What ships learned from ${times}.`;
  const by =
    shippedFrom === undefined
      ? 'These results do not say from how many pairs.'
      : `\`${shippedFrom}\` made it; every other run learned from ${learnedFrom}.`;
  const served = asked.filter(({ family }) => family === 'served').map(({ label }) => `*${label}*`);
  const budgets = asked.length - served.length;
  const rows = [...served, ...(budgets > 0 ? [`${budgets} budget${budgets === 1 ? '' : 's'} alone`] : [])];
  const names = rows.length > 1 ? `${rows.slice(0, -1).join(', ')} and ${rows.at(-1)}` : rows[0];
  const [row, verb] =
    asked.length === 1
      ? (['row', 'says what is served. It does'] as const)
      : (['rows', 'say what is served. They do'] as const);
  return `
**${head}** ${by}
The ${row} of ${names} ${verb} not say which method is better: beside the other
methods, much of the difference may come from training alone.${safetyExperts(study)}
`;
}

/** What the size of the training is worth, where both safety experts answered by themselves. */
function safetyExperts(study: Study): string {
  const { set, measure } = sidesOf(study).safety;
  const ships = study.results.methods.find(({ frontier }) => frontier?.budget === 0 && !frontier.earned);
  const [there, here] = [ships?.id, 'spe-s'].map(
    (method) => method && study.interval({ method, set, seeds: study.results.seeds.slice(0, 1) }, measure),
  );
  if (!there || !here) return '';
  return `
On the same prompts the safety expert that ships, alone, is unsafe in ${fixed(there.mean, 1)} %, and the study's own, alone, in ${fixed(here.mean, 1)} %.`;
}

/** A router that says nearly nothing is its floor. */
const NEARLY_NEVER = 0.05;

/**
 * A sentence for each router under a floor that a hypothesis is about, and that raised the weight
 * above its floor for nearly no token. Empty if there is none. Weights are kept to two digits.
 */
export function idleRouters(study: Study, outcomes: readonly Outcome[]): string {
  const asked = new Map(
    outcomes.flatMap(({ hypothesis: { first, second, set, depth } }) =>
      [first, second].map((id) => [`${id} ${set} ${depth}`, { id, set, depth }]),
    ),
  );
  const byMethod = Map.groupBy(asked.values(), ({ id }) => id);
  return [...byMethod]
    .flatMap(([id, places]) => {
      const method = study.method(id);
      const floor = method?.line?.floor ?? 0;
      if (!method || floor === 0) return [];
      const weights = places.flatMap(({ set, depth }) =>
        study.answers({ method: id, set, depth }).flatMap((answer) => answer.weights),
      );
      const above = weights.filter((weight) => weight > floor + 0.005).length;
      if (weights.length === 0 || above > NEARLY_NEVER * weights.length) return [];
      const count = (value: number) => value.toLocaleString('en-US');
      return [
        `Under floor ${floor} the router proposes less than the floor nearly always: in ${count(above)} of ${count(weights.length)} tokens of ${method.label} the weight lay above it. So that line and a constant weight of ${floor} under the same budget are ${above === 0 ? '' : 'nearly '}the same method, and what the router is worth was not tested.\n`,
      ];
    })
    .join('');
}
