import { expect, test } from 'vitest';
import { readMetrics } from '../testing/read-metrics.ts';
import { prometheusText } from './prometheus-text.ts';

test('families come with their comments, and values of labels as they are', () => {
  const hostile = 'a"b\\n\\\n} 5 # é';
  const text = prometheusText([
    {
      ...{ name: 'plimsoll:a_total', help: 'What it counts.', type: 'counter' },
      samples: [
        { labels: {}, value: 3 },
        { labels: { one: hostile, two: '' }, value: 1.5 },
      ],
    },
    { name: 'plimsoll:none', help: 'Nothing.', type: 'gauge', samples: [] },
    { name: 'plimsoll:b', help: 'Now.', type: 'gauge', samples: [{ labels: { x: 'y' }, value: 0 }] },
  ]);
  expect(readMetrics(text)).toEqual({
    'plimsoll:a_total': {
      type: 'counter',
      help: 'What it counts.',
      samples: [
        { labels: {}, value: 3 },
        { labels: { one: hostile, two: '' }, value: 1.5 },
      ],
    },
    'plimsoll:b': { type: 'gauge', help: 'Now.', samples: [{ labels: { x: 'y' }, value: 0 }] },
  });
  expect(text.split('\n').slice(0, 3)).toEqual([
    '# HELP plimsoll:a_total What it counts.',
    '# TYPE plimsoll:a_total counter',
    'plimsoll:a_total 3',
  ]);
});
