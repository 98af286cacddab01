import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { judgeLines, spreadOver } from './evaluate-bundle.ts';

test('samples different questions from all over the list, and all of them if there are few', () => {
  for (const length of [1, 4, 7, 12, 768]) {
    for (const count of [1, 4, 8, length]) {
      const places = spreadOver(length, count);
      expect(new Set(places).size).toBe(Math.min(count, length));
      for (const at of places) expect(at >= 0 && at < length).toBe(true);
    }
  }
  // Each topic has twelve questions. A stride that divides the list would show only one kind.
  expect(new Set(spreadOver(768, 8).map((at) => at % 12)).size).toBeGreaterThan(4);
});

test.each([
  [false, ['logits']],
  [true, ['logits', 'layers']],
])('asks a bundle in the modes that it offers (routers: %s)', async (routers, modes) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-evaluate-'));
  try {
    const bundle = tinyBundle({ routers });
    // One token per byte: the world's questions are longer than the bundle's own context.
    await writeBundle(path.join(dir, 'bundle'), {
      ...bundle,
      config: { ...bundle.config, max_position_embeddings: 512 },
    });
    const { sets, questions } = await judgeLines({
      dir: path.join(dir, 'bundle'),
      perAsk: 1,
      sampling: { temperature: 1, topP: 1, seed: 1, maxTokens: 1 },
      threads: 1,
      lines: { logits: OPEN_LINE, layers: { ...OPEN_LINE, mode: 'layers' } },
    });
    expect(Object.keys(sets)).toEqual(modes);
    for (const set of Object.values(sets)) expect(set.answers).toBe(questions.length);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
