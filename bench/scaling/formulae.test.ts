import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { fillPage } from '../engine/page.ts';
import { machineOf } from '../scaling.ts';
import { BUSY, INSIDE, REQUEST, SGLANG, VLLM } from './assumptions.ts';
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
import { cellOf, readSimulated, SHAPES } from './simulated.ts';

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

test.each(SHAPES)('simulated, nodes are as busy as the work law says: $name', (shape) => {
  const load = 0.4;
  const cell = cellOf(shape, parts, load);
  const { busy, tokenMs } = simulateCell(cell, { seconds: 30, seed: 'law' });
  const work = workOfRequest(parts, cell.engine);
  const expected = (ms: number, count: number) => (cell.requestsPerSecond * ms) / 1000 / count;
  // Answers come at random, so half a minute has some hundredths more or fewer of them.
  expect(busy.http / expected(work.http, cell.httpProcesses)).toBeCloseTo(1, 0);
  if (shape.hasGateNodes) expect(busy.gateNode / expected(work.gateNode, cell.gateNodes)).toBeCloseTo(1, 0);
  // A step that is not full pays for the weights too, so the engine is busier than it has to be.
  expect(busy.gpu).toBeGreaterThan(0.9 * load);
  // A step counts when it begins, so the last one may reach beyond the end.
  expect(busy.gpu).toBeLessThan(1.01);
  // No token is faster than an empty system.
  const gate = cell.gateMs === null ? 0 : cell.gateMs + 0.5;
  expect(tokenMs[0]).toBeGreaterThanOrEqual(gate + cell.engine.readMs + cell.engine.httpMs - 1e-9);
});

test('the kept simulation is the one of the kept parts', () => {
  for (const point of readSimulated().filter(({ load }) => load === 0.4)) {
    const shape = SHAPES.find(({ name }) => name === point.shape)!;
    const cell = cellOf(shape, parts, point.load);
    expect(cell.requestsPerSecond / point.requestsPerSecond).toBeCloseTo(1, 3);
    const { tokenMs } = simulateCell(cell, { seconds: 30, seed: 'again' });
    const p50 = tokenMs[Math.floor(tokenMs.length / 2)]!;
    expect(p50 / point.p50).toBeGreaterThan(0.85);
    expect(p50 / point.p50).toBeLessThan(1.15);
  }
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
