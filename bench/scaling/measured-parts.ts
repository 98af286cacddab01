/** The parts of a deployment that were measured, as docs/scaling/measured.json keeps them. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

export const DOCS = path.join(import.meta.dirname, '../../docs/scaling');

const Line = z.strictObject({ fixed: z.number().nonnegative(), perToken: z.number().nonnegative() });

const MeasuredParts = z.strictObject({
  at: z.iso.datetime(),
  machine: z.strictObject({ cpu: z.string(), cores: z.int(), node: z.string() }),
  /** k of the rows below. */
  topK: z.int(),
  /** The gate alone, from two truncated rows to a token, in milliseconds. */
  gateStepMs: z.number().positive(),
  /**
   * CPU of a gate node for one token, in milliseconds, over the tokens before it: it sends them all
   * with both questions.
   */
  gateNodeMs: Line,
  /** CPU of the edge for a streamed answer, in milliseconds, over its tokens. */
  edgeMs: Line,
  /** Bytes of one question to an engine, over the tokens before; and of the answer. */
  questionBytes: Line,
  answerBytes: z.number().positive(),
});
export type MeasuredParts = z.infer<typeof MeasuredParts>;

export function readMeasured(file = path.join(DOCS, 'measured.json')): MeasuredParts {
  return MeasuredParts.parse(JSON.parse(readFileSync(file, 'utf8')));
}
