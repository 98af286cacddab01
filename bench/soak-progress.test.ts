import { expect, test } from 'vitest';
import { soakProgress } from './soak-progress.ts';

test('without a terminal, every tenth gets a line: how fast it goes, its memory, the most rows that were open', () => {
  const lines: string[] = [];
  let ms = 0;
  const progress = soakProgress(200, { terminal: false, print: (line) => lines.push(line), now: () => ms });
  for (let done = 1; done <= 200; done++) {
    ms += 50;
    progress.update(done, { residentBytes: 415e6 + done * 1e5, rows: done % 20 === 0 ? 0 : Math.min(16, done % 20) });
  }
  progress.stop();
  expect(lines).toHaveLength(10);
  expect(lines[0]).toBe('soak: 20/200 requests, 20.0 requests/s, 417 MB resident, 16 rows open');
  expect(lines[9]).toBe('soak: 200/200 requests, 20.0 requests/s, 435 MB resident, 16 rows open');
});

test('a tenth that was passed over, or is reached once more, gets no line of its own', () => {
  const lines: string[] = [];
  const progress = soakProgress(30, { terminal: false, print: (line) => lines.push(line), now: () => 1000 });
  for (const done of [2, 10, 9, 11, 30]) progress.update(done, { residentBytes: 1e6, rows: 0 });
  expect(lines.map((line) => line.split(' requests,')[0])).toEqual(['soak: 10/30', 'soak: 30/30']);
});
