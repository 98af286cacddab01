import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { quantile } from '../chaos/quantile.ts';
import { fillPage } from '../engine/page.ts';
import { machineOf } from '../scaling.ts';
import { BUSY, INSIDE, REQUEST, ROUND_TRIP_MS, SGLANG, STEP_MS, VLLM } from './assumptions.ts';
import {
  bottleneck,
  capacities,
  gateMs,
  idleTokenMs,
  nodesFor,
  questionsPerStep,
  stepMs,
  workOfRequest,
} from './formulae.ts';
import { DOCS, readMeasured } from './measured-parts.ts';
import { pageParts, rounded } from './page.ts';
import { simulateCell } from './simulate-cell.ts';
import { cellOf, readSimulated, SHAPES, simulatePoint } from './simulated.ts';

const parts = readMeasured();

test('the engine’s assumptions come to what was published, and vLLM reads some tokens again', () => {
  // 256 rows of single tokens, as in a batch of answers.
  expect((1000 * 256) / stepMs(SGLANG(), 256)).toBeCloseTo(12_500, 6);
  expect(VLLM().questionMs / SGLANG().questionMs).toBeGreaterThan(4);
  expect(SGLANG().readMs).toBeCloseTo(5.8, 1);
});

test('a full step is as long as it may be, or has as many questions as it may', () => {
  for (const engine of [VLLM(), SGLANG(), INSIDE()]) {
    const full = questionsPerStep(engine);
    expect(stepMs(engine, full)).toBeLessThanOrEqual(50);
    expect(full === engine.most || stepMs(engine, full + 1) > 50).toBe(true);
  }
});

test('nodes do the work: never busier than planned, and one fewer would be', () => {
  const work = workOfRequest(parts, VLLM());
  for (const requests of [1, 7, 100, 10_000]) {
    const nodes = nodesFor(work, requests);
    for (const kind of ['edge', 'gateNode', 'http', 'gpu'] as const) {
      const busy = (count: number) => (requests * work[kind]) / 1000 / count;
      expect(busy(nodes[kind])).toBeLessThanOrEqual(BUSY);
      if (nodes[kind] > 1) expect(busy(nodes[kind] - 1)).toBeGreaterThan(BUSY);
    }
  }
});

test('the kind that is full first has the least capacity', () => {
  for (const engine of [VLLM(), SGLANG()]) {
    const work = workOfRequest(parts, engine);
    const most = capacities(work);
    expect(most[bottleneck(work)]).toBe(Math.min(...Object.values(most)));
  }
  expect(workOfRequest(parts, VLLM()).gateNode).toBe(REQUEST.answerTokens * gateMs(parts));
});

test('several positions share the way, and pay for it in steps of the engine', () => {
  const at = (asked: number, accepted: number, roundTrip: number) =>
    idleTokenMs(VLLM(), { asked, accepted }, { gate: 2, roundTrip });
  const one = at(1, 1, 0.5);
  expect(one.ms).toBeCloseTo(0.5 + VLLM().httpMs + stepMs(VLLM(), 2) + 2, 9);
  expect([one.stepsAToken, one.rowsAToken]).toEqual([1, 2]);
  // Where the way is long it is worth it, and where nothing is accepted it is not.
  expect(at(4, 3, 20).ms).toBeLessThan(at(1, 1, 20).ms);
  expect(at(4, 1, 0.5).ms).toBeGreaterThan(one.ms);
});

/** How far a share is from what it should be. */
const off = (value: number, expected: number) => Math.abs(value / expected - 1);

test.each(SHAPES)('simulated, nodes are as busy as the work law says: $name', (shape) => {
  const load = 0.4;
  const cell = cellOf(shape, parts, load);
  const seconds = 1000 / cell.requestsPerSecond;
  const { busy, tokenMs, tokens, longestStepMs } = simulateCell(cell, { seconds, seed: 'law' });
  const work = workOfRequest(parts, cell.engine);
  const expected = (ms: number, count: number) => (cell.requestsPerSecond * ms) / 1000 / count;
  // A thousand answers at random are some 3 % more or fewer.
  expect(off(tokens, 1000 * REQUEST.answerTokens)).toBeLessThan(0.05);
  expect(off(busy.http, expected(work.http, cell.httpProcesses))).toBeLessThan(0.05);
  if (shape.hasGateNodes) expect(off(busy.gateNode, expected(work.gateNode, cell.gateNodes))).toBeLessThan(0.05);
  // For the tokens that came, only those at both ends of the time are in doubt.
  const each = (ms: number, count: number) => (tokens * ms) / (1000 * seconds * count);
  expect(off(busy.http, each(2 * cell.engine.httpMs, cell.httpProcesses))).toBeLessThan(0.005);
  if (shape.hasGateNodes) expect(off(busy.gateNode, each(gateMs(parts), cell.gateNodes))).toBeLessThan(0.005);
  // A step that is not full pays for the weights too, so the engine is busier than it has to be.
  expect(busy.gpu).toBeGreaterThan(0.95 * load);
  // A step counts when it begins, so the last one may reach beyond the end.
  expect(busy.gpu).toBeLessThan(1.01);
  expect(longestStepMs).toBeLessThanOrEqual(STEP_MS);
  expect(tokenMs[0]).toBeGreaterThanOrEqual(emptyTokenMs(shape) * (1 - 1e-9));
});

/** A token when nobody else is there: both rows are in one step. */
function emptyTokenMs({ engine, hasGateNodes }: (typeof SHAPES)[number]): number {
  if (!hasGateNodes) return stepMs(engine, 2) + 2 * engine.httpMs;
  const way = { gate: gateMs(parts), roundTrip: ROUND_TRIP_MS };
  return idleTokenMs(engine, { asked: 1, accepted: 1 }, way).ms;
}

test.each(SHAPES)('simulated, a token of an empty cell takes what the closed form says: $name', (shape) => {
  const cell = { ...cellOf(shape, parts, 0.4), requestsPerSecond: 0.01 };
  const { tokenMs } = simulateCell(cell, { seconds: 2000, seed: 'empty' });
  expect(tokenMs.length).toBeGreaterThan(1000);
  expect(off(quantile(tokenMs, 0.5), emptyTokenMs(shape))).toBeLessThan(1e-6);
});

test.each(SHAPES)('the kept figures are those of the kept parts, to the last digit: $name', (shape) => {
  const kept = readSimulated().filter(({ shape: name }) => name === shape.name);
  for (const load of [0.02, 0.4, 0.7]) {
    expect(simulatePoint(shape, parts, load)).toEqual(kept.find((point) => point.load === load));
  }
});

test('a gate node of deploy/ that is full has requests waiting before its answers are slow', () => {
  const file = path.join(DOCS, '../../deploy/kubernetes/vllm/gate-node.yaml');
  const [, rows] = /PLIMSOLL_MAX_ROWS\s+value: '(\d+)'/.exec(readFileSync(file, 'utf8')) ?? [];
  // Two rows an answer, and the same 20 tokens a second that a step of the engine is planned for.
  const tokensPerSecond = 1000 / gateMs(parts) / (Number(rows) / 2);
  expect(tokensPerSecond).toBeGreaterThanOrEqual(1000 / STEP_MS);
  // And room for the answers that it is planned for, at what their tokens take.
  const { p50 } = readSimulated().find(({ shape, load }) => shape === SHAPES[0]!.name && load === BUSY)!;
  expect(Number(rows) / 2).toBeGreaterThan((BUSY / gateMs(parts)) * p50);
});

test('docs/scaling.md has the tables of these figures', async () => {
  const page = readFileSync(path.join(DOCS, '../scaling.md'), 'utf8');
  expect(page).toBe(fillPage(page, pageParts(parts, readSimulated(), await machineOf())));
});

test.each([
  [1234.6, '1,230'],
  [0.0512, '0.051'],
  [17.4, '17'],
])('%f is shown as %s', (value, text) => expect(rounded(value)).toBe(text));
