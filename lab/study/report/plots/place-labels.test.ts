import { describe, expect, test } from 'vitest';
import { createRandom } from '#training/data/random.ts';
import { textWidth } from '../../../plots/text-width.ts';
import { placeLabels } from './place-labels.ts';

const frame = { width: 900, height: 640, fontSize: 11.5 };

describe('labels of a scatter plot', () => {
  const random = createRandom('labels');
  const points = Array.from({ length: 35 }, (_, i) => ({
    // Half of them crowd in a corner, as methods near one expert do.
    x: i % 2 === 0 ? 60 + 160 * random.next() : 40 + 800 * random.next(),
    y: i % 2 === 0 ? 60 + 120 * random.next() : 40 + 560 * random.next(),
    text: `method ${i}`,
  }));
  const placed = placeLabels(points, frame);
  const boxes = placed.map(({ labelX, labelY, text }) => ({
    left: labelX,
    right: labelX + textWidth(text, frame.fontSize),
    top: labelY - 0.6 * frame.fontSize,
    bottom: labelY + 0.6 * frame.fontSize,
  }));

  test('no label covers another label or a point', () => {
    for (const [i, a] of boxes.entries()) {
      for (const b of boxes.slice(i + 1)) {
        const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
        expect(apart, `${i}`).toBe(true);
      }
      for (const { x, y } of points) {
        expect(x > a.left && x < a.right && y > a.top && y < a.bottom, `${i} covers ${x}, ${y}`).toBe(false);
      }
    }
  });

  test('labels stay inside the frame, and a line leads from a far label to its point', () => {
    for (const [i, { left, right, top, bottom }] of boxes.entries()) {
      expect(Math.min(left, top, frame.width - right, frame.height - bottom)).toBeGreaterThanOrEqual(0);
      const { x, y, leader } = placed[i]!;
      const dx = Math.max(left - x, 0, x - right);
      const dy = Math.max(top - y, 0, y - bottom);
      if (Math.hypot(dx, dy) > 14) expect(leader).not.toBeNull();
    }
  });
});
