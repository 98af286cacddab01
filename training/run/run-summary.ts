/** What a finished run came to, in a few lines for whoever started it. */
import path from 'node:path';
import { bestStep } from './checkpoint.ts';
import { bestEvaluation, METRICS_FILE, type MetricsRow, readRows } from './metrics-file.ts';
import { formatSeconds } from './progress.ts';

/** Each line is a sentence or two. Throws if the run has made no step. */
export async function runSummary(dir: string): Promise<string[]> {
  const rows = readRows(path.join(dir, METRICS_FILE));
  const last = rows.findLast(({ loss }) => loss !== undefined);
  if (last === undefined) throw new Error(`${dir} has made no step yet`);
  const made = `${last.step} steps, ${last.tokens!.toLocaleString('en')} tokens in ${formatSeconds(last.seconds!)}`;
  const evaluations = rows.filter(({ heldOutLoss }) => Number.isFinite(heldOutLoss));
  const [best, newest] = [bestEvaluation(evaluations), evaluations.at(-1)];
  const kept = (await bestStep(dir)) ?? last.step;
  return [
    `${dir}: ${made}`,
    ...(best ? [`best on held-out rows: ${figuresOf(best)} (step ${best.step})`] : []),
    ...(newest && newest.step !== best?.step ? [`at the end: ${figuresOf(newest)} (step ${newest.step})`] : []),
    `later stages use the weights of step ${kept}`,
  ];
}

function figuresOf({ heldOutLoss, heldOutAccuracy }: MetricsRow): string {
  const accuracy = heldOutAccuracy === undefined ? '' : `, ${(100 * heldOutAccuracy).toFixed(1)} % ordered right`;
  return `loss ${heldOutLoss!.toFixed(4)}${accuracy}`;
}
