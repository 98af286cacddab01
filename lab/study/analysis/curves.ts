/**
 * Methods of one family that differ in only one number: the points of a curve, sorted by that
 * number.
 */
import type { MethodInfo } from '../results/results.ts';

type CurvePoint = { method: MethodInfo; at: number };
export type Curve = { name: string; points: CurvePoint[] };

/**
 * Methods with a line form one curve per budget, sorted by floor. Other methods form a curve if
 * their labels differ only in the number, like `MOD 0.3` and `MOD 0.7`. A method that is alone in
 * its group is on no curve.
 */
export function curvesOf(methods: readonly MethodInfo[]): Curve[] {
  const curves = new Map<string, Curve>();
  const add = (name: string, family: string, point: CurvePoint) => {
    const key = `${family} ${name}`;
    const curve = curves.get(key) ?? { name, points: [] };
    curve.points.push(point);
    curves.set(key, curve);
  };
  for (const method of methods) {
    if (method.line) {
      add(`budget ${method.line.budget ?? 'none'}`, method.family, { method, at: method.line.floor });
      continue;
    }
    const numbers = method.label.match(NUMBER) ?? [];
    if (numbers.length === 1) add(method.label.replace(NUMBER, '…'), method.family, { method, at: Number(numbers[0]) });
  }
  return [...curves.values()]
    .filter(({ points }) => points.length > 1)
    .map(({ name, points }) => ({ name, points: points.toSorted((a, b) => a.at - b.at) }));
}

const NUMBER = /\d+(?:\.\d+)?/g;
