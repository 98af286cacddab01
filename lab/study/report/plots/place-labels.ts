/**
 * Places the labels of a scatter plot so that none covers another label or a point. Every label
 * tries places around its point, nearest first, and takes the cheapest. A few rounds let early
 * labels make way for later ones.
 *
 * Vega has a label transform, but it needs a canvas to see marks. Without one, it treats a mark as
 * a single pixel and writes over the rest of it. It also draws no leader lines.
 */
import { textWidth } from '../../../plots/text-width.ts';

export type Labelled = { x: number; y: number; text: string };
export type Placed = Labelled & {
  /** The left edge and the middle line of the text, in pixels. */
  labelX: number;
  labelY: number;
  /**
   * Where a leader line ends, at the nearest edge of the text. null if the text is close enough to
   * need none.
   */
  leader: { x: number; y: number } | null;
};

type Box = { left: number; top: number; right: number; bottom: number };

export function placeLabels(
  points: readonly Labelled[],
  { width, height, fontSize }: { width: number; height: number; fontSize: number },
): Placed[] {
  const boxes: Box[] = points.map((point) => ({ left: point.x, top: point.y, right: point.x, bottom: point.y }));
  const choices = points.map((point) => candidates(point, { width, height, fontSize }));
  const cost = (at: number, box: Box, effort: number): number => {
    let sum = effort;
    for (const [other, point] of points.entries()) {
      const mark = { left: point.x - 6, top: point.y - 6, right: point.x + 6, bottom: point.y + 6 };
      // A label must not cover its own mark either.
      if (overlap(box, mark) > 0) sum += 400;
      if (other !== at) {
        sum += 40 * overlap(box, grown(boxes[other]!, 1));
        // If a leader crosses another label, readers think that it belongs to that label.
        if (effort > FAR && crosses(point, boxes[other]!, points[at]!, box)) sum += 150;
      }
    }
    return sum;
  };
  // In the first round, later labels are still points. After that, each one sees all the others.
  for (let round = 0; round < 8; round++) {
    let moved = false;
    for (const [at, options] of choices.entries()) {
      let best = { sum: Number.POSITIVE_INFINITY, box: boxes[at]! };
      for (const { box, effort } of options) {
        const sum = cost(at, box, effort);
        if (sum < best.sum) best = { sum, box };
      }
      moved ||= best.box.left !== boxes[at]!.left || best.box.top !== boxes[at]!.top;
      boxes[at] = best.box;
    }
    if (!moved) break;
  }
  return points.map((point, at) => {
    const box = boxes[at]!;
    const edge = { x: clamp(point.x, box.left, box.right), y: clamp(point.y, box.top, box.bottom) };
    const far = Math.hypot(edge.x - point.x, edge.y - point.y) > LEADER_FROM_PX;
    return { ...point, labelX: box.left, labelY: (box.top + box.bottom) / 2, leader: far ? edge : null };
  });
}

const LEADER_FROM_PX = 13;
/** A label with at least this much effort has a leader. */
const FAR = 20;

function candidates(
  { x, y, text }: Labelled,
  { width, height, fontSize }: { width: number; height: number; fontSize: number },
): { box: Box; effort: number }[] {
  const [wide, high] = [textWidth(text, fontSize), 1.2 * fontSize];
  const found: { box: Box; effort: number }[] = [];
  for (const distance of [8, 11, 18, 26, 36, 48, 62, 78, 96, 116, 140]) {
    for (let turn = 0; turn < 24; turn++) {
      const angle = (turn * Math.PI) / 12;
      const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
      // We measure the distance to the text's edge, not to its middle.
      const middleX = x + dx * (distance + wide / 2);
      const middleY = y + dy * (distance + high / 2);
      const box = {
        left: middleX - wide / 2,
        right: middleX + wide / 2,
        top: middleY - high / 2,
        bottom: middleY + high / 2,
      };
      if (box.left < 2 || box.right > width - 2 || box.top < 2 || box.bottom > height - 2) continue;
      const edge = Math.hypot(x - clamp(x, box.left, box.right), y - clamp(y, box.top, box.bottom));
      // Readers look to the right first.
      found.push({ box, effort: edge + 2 * (1 - dx) });
    }
  }
  return found;
}

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

const grown = ({ left, top, right, bottom }: Box, by: number): Box => ({
  left: left - by,
  top: top - by,
  right: right + by,
  bottom: bottom + by,
});

/** In square pixels. */
function overlap(a: Box, b: Box): number {
  const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return wide > 0 && high > 0 ? wide * high : 0;
}

/** Whether the leader of one label crosses another label or its leader. */
function crosses(point: Labelled, label: Box, from: Labelled, box: Box): boolean {
  const to = { x: clamp(from.x, box.left, box.right), y: clamp(from.y, box.top, box.bottom) };
  const end = { x: clamp(point.x, label.left, label.right), y: clamp(point.y, label.top, label.bottom) };
  if (side(from, to, point) * side(from, to, end) < 0 && side(point, end, from) * side(point, end, to) < 0) return true;
  for (let step = 1; step < 8; step++) {
    const at = { x: from.x + ((to.x - from.x) * step) / 8, y: from.y + ((to.y - from.y) * step) / 8 };
    if (at.x > label.left && at.x < label.right && at.y > label.top && at.y < label.bottom) return true;
  }
  return false;
}

type Point = { x: number; y: number };
const side = (a: Point, b: Point, c: Point) => (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
