/** What the simulation found, as docs/scaling/simulated.json keeps it for the page and its plot. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { quantile } from '../chaos/quantile.ts';
import { BUSY, type EngineModel, HTTP_MS, INSIDE, SGLANG, VLLM } from './assumptions.ts';
import { capacities, gateMs, workOfRequest } from './formulae.ts';
import { DOCS, type MeasuredParts } from './measured-parts.ts';
import { simulateCell } from './simulate-cell.ts';

const Point = z.strictObject({
  /** Which shape, and how full its fullest kind of node is meant to be. */
  shape: z.string(),
  load: z.number(),
  requestsPerSecond: z.number(),
  /** Milliseconds of a token after the first. */
  p50: z.number(),
  p99: z.number(),
  busy: z.strictObject({ gateNode: z.number(), http: z.number(), gpu: z.number() }),
});
export type Point = z.infer<typeof Point>;
export function readSimulated(file = path.join(DOCS, 'simulated.json')): Point[] {
  return z.array(Point).parse(JSON.parse(readFileSync(file, 'utf8')));
}

const SECONDS = 120;
const LOADS = [0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, BUSY, 0.8, 0.9];

/** The shapes that are simulated: an engine, and as many gate nodes and processes as it fills. */
export const SHAPES: readonly { name: string; engine: EngineModel; hasGateNodes: boolean }[] = [
  { name: 'gate nodes + vLLM', engine: VLLM(HTTP_MS), hasGateNodes: true },
  { name: 'gate nodes + SGLang', engine: SGLANG(HTTP_MS), hasGateNodes: true },
  { name: 'the gate inside the engine', engine: INSIDE(HTTP_MS), hasGateNodes: false },
];

/** The cell of a shape whose engine gets this share of what it can take with full steps. */
export function cellOf({ engine, hasGateNodes }: (typeof SHAPES)[number], parts: MeasuredParts, load: number) {
  const work = workOfRequest(parts, engine);
  const requestsPerSecond = load * capacities(work).gpu;
  // Other nodes are as many as a full GPU needs.
  const beside = (ms: number) => Math.max(1, Math.ceil((BUSY * capacities(work).gpu * ms) / 1000 / BUSY));
  return {
    ...{ engine, requestsPerSecond, gateMs: hasGateNodes ? gateMs(parts) : null },
    gateNodes: hasGateNodes ? beside(work.gateNode) : 1,
    httpProcesses: beside(work.http),
  };
}

export function simulateAll(parts: MeasuredParts): Point[] {
  return SHAPES.flatMap((shape) => LOADS.map((load) => simulatePoint(shape, parts, load)));
}

/** The seed follows from shape and load, so the same parts give the same figures. */
export function simulatePoint(shape: (typeof SHAPES)[number], parts: MeasuredParts, load: number): Point {
  const cell = cellOf(shape, parts, load);
  const { tokenMs, busy } = simulateCell(cell, { seconds: SECONDS, seed: `${shape.name} ${load}` });
  const round = (value: number) => Number(value.toPrecision(4));
  return {
    ...{ shape: shape.name, load, requestsPerSecond: round(cell.requestsPerSecond) },
    ...{ p50: round(quantile(tokenMs, 0.5)), p99: round(quantile(tokenMs, 0.99)) },
    busy: { gateNode: round(busy.gateNode), http: round(busy.http), gpu: round(busy.gpu) },
  };
}
