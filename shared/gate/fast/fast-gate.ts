/**
 * `gateStep` and `gateLayersStep` in a fraction of the time, by the same rules: exponentials and
 * sums over the vocabulary in the kernel, and of logarithms only those of the tokens that are
 * reported. The plain version says what every number means; this one has to agree with it up to
 * rounding, under the same tests.
 *
 * `step` returns null if the plain version has to do this step:
 *
 * - a row is missing, empty, of another length than the other, or no distribution;
 * - the temperature is above 0 and outside 1e-3..1e3;
 * - the masses of a row all but vanish, or a bias takes one out of the doubles: the experts have
 *   next to nothing in common, or a mask leaves only tokens that are all but impossible;
 * - the arithmetic rule at a temperature so high that a mass below e^-708 would count;
 * - a cut keeps tokens whose mass under the safety expert is below e^-708, and no budget rules
 *   them out;
 * - the cap needs more than masses; see cap-masses.ts.
 *
 * So every case in which the gate closes for its rows, or throws for them, is the plain version's.
 */
import type { Rule } from '#shared/line/line.ts';
import { addSpending, LOG_ZERO, natsLeft, reportable, spendingBound } from '../add-spending.ts';
import { checkReport, checkSampling, checkState, usablePolicy } from '../check-inputs.ts';
import { effectiveFloor } from '../effective-weight.ts';
import type { GatePolicy, GateState, GateStep, Report, SamplingParams } from '../gate-types.ts';
import { openWeight } from '../open-mixture.ts';
import { uniformAt } from '../uniform-at.ts';
import { capMasses } from './cap-masses.ts';
import { Cutter } from './cut-masses.ts';
import { DenseSupport } from './dense-support.ts';
import type { Kernel } from './kernel.ts';
import { LEAST_MASS, LEAST_SUM, MassRows, type Mixed } from './mass-rows.ts';
import { Choice, Sampled, type Shaped, type Solved } from './solved.ts';
import { SparseSupport } from './sparse-support.ts';

export type FastInput = {
  safetyLogits: Float32Array;
  /** The helpfulness expert's row, or the layers row. */
  besideLogits: Float32Array | null;
  /** What makes the weight, and tells the modes apart. */
  beside: { proposal: number } | { alpha: number };
  policy: GatePolicy;
  sampling: SamplingParams;
  state: GateState;
  report?: Report;
  /** See `GateStepInput`. */
  ownLogprobs?: boolean;
};

export type SolvedStep = { q: Solved; weight: number; floor: number; bound: number | null };

/** A mixture of weight 0, and a layers row, are the second row itself. */
function mixedBy(beside: FastInput['beside'], { weight, rule }: { weight: number; rule: Rule }): Mixed {
  return 'alpha' in beside || weight === 0 ? { kind: 'beside' } : { kind: rule, weight };
}

/** In place of what the experts themselves say, if nobody reads it. */
const UNREAD = { logprobSafety: LOG_ZERO, logprobHelpful: LOG_ZERO };

/** Temperatures at which masses are as good as logarithms. */
const COLDEST = 1e-3;
const HOTTEST = 1e3;
const MOST_SUM = 1e300;
/** The share of a row's sum that a mass may have and still be lost without being noticed. */
const UNNOTICED = 1e-25;

export class FastGate {
  readonly #kernel: Kernel;
  readonly #rows: MassRows;
  readonly #cutter: Cutter;
  readonly #sparse = new SparseSupport();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#rows = new MassRows(kernel);
    this.#cutter = new Cutter(kernel);
  }

  /** @throws GateError if sampling, state or report make no sense */
  step(input: FastInput): GateStep | null {
    const { sampling, state, report, beside, besideLogits, ownLogprobs = true } = input;
    checkReport(report);
    const solved = this.solve(input);
    if (!solved) return null;
    const { weight, floor, bound, q } = solved;
    const rows = this.#rows;
    const token = q.token(uniformAt(sampling.key, state.position));
    const spent = addSpending(state.spent, { spends: q.spends(token), bound });
    const helps = besideLogits !== null && 'proposal' in beside;
    const own = (token: number) => ({
      logprobSafety: reportable(rows.logSafety(token)),
      logprobHelpful: reportable(helps ? rows.logBeside(token) : undefined),
    });
    return {
      token,
      weight,
      floor,
      ...(ownLogprobs ? own(token) : UNREAD),
      logprob: reportable(q.logprob(token)),
      spent,
      state: { position: state.position + 1, spent },
      ...(report && {
        top: q.top(report.topLogprobs).map((token) => ({
          token,
          logprob: q.logprob(token),
          ...(report.experts && own(token)),
        })),
      }),
    };
  }

  /** The distribution of a step, in the kernel's memory: valid until the next call. */
  solve({ safetyLogits, besideLogits, beside, policy, sampling, state }: FastInput): SolvedStep | null {
    checkSampling(sampling);
    checkState(state);
    const greedy = sampling.temperature === 0;
    const temperature = greedy ? 1 : sampling.temperature;
    if (!(temperature >= COLDEST && temperature <= HOTTEST)) return null;
    if (!safetyLogits?.length || (besideLogits && besideLogits.length !== safetyLogits.length)) return null;
    const rows = this.#rows;
    if (!rows.read(safetyLogits, besideLogits)) return null;

    const line = usablePolicy(policy);
    const bound = line ? spendingBound(line, state) : 0;
    const floor = line ? effectiveFloor(line, state) : 1;
    const left = natsLeft(bound, state);
    const closed = !line || !besideLogits || (left !== null && left <= 0);
    const weight = closed ? 1 : openWeight(beside, { ...line, floor });
    const mixed = closed || weight >= 1 ? null : mixedBy(beside, { weight, rule: line.rule });
    const { reference, mixture } = mixed
      ? rows.makeBoth(mixed, temperature, sampling)
      : { reference: rows.makeReference(temperature, sampling), mixture: null };
    if (!(reference >= LEAST_SUM)) return null;
    if (mixture !== null) {
      if (!(mixture >= LEAST_SUM && mixture <= MOST_SUM && rows.lost <= UNNOTICED * mixture)) return null;
    }
    const shaped: Shaped = { rows, mixture, reference, natsLeft: left };
    const q = greedy ? Choice.of(shaped) : this.#cap(shaped, sampling);
    return q && { q, weight, floor, bound };
  }

  #cap(shaped: Shaped, { topK = 0, topP, minP = 0 }: SamplingParams): Solved | null {
    const { rows } = shaped;
    const { arrays, tokens, blocks } = rows;
    if ((topK === 0 || topK >= tokens) && topP === 1 && minP === 0) {
      const q = capMasses(new DenseSupport(this.#kernel, rows), { ...shaped, lost: rows.lost });
      return q && new Sampled(shaped, q, null);
    }
    const asked = { topK, topP, minP, tokens, blocks };
    const cutReference = this.#cutter.cut(arrays.reference, arrays.referenceList, {
      ...asked,
      total: shaped.reference,
      lost: LEAST_MASS,
    });
    const none = { list: arrays.mixtureList, count: 0, total: null, cut: true };
    const cutMixture =
      shaped.mixture === null
        ? none
        : this.#cutter.cut(arrays.mixture, arrays.mixtureList, { ...asked, total: shaped.mixture, lost: rows.lost });
    const sparse = this.#sparse.merge(cutMixture, cutReference);
    // Without a budget such a token may be drawn, and what it spends is the log of a lost mass.
    if (shaped.natsLeft === null && !cutReference.cut && sparse.passesReference()) return null;
    const cut = { ...shaped, mixture: cutMixture.total, reference: cutReference.total };
    const q = capMasses(sparse, { ...cut, lost: rows.lost });
    return q && new Sampled(cut, q, sparse);
  }
}
