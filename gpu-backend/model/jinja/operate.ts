/** Python's operators on two values. */
import { Text } from './text.ts';
import { compare, Float, List, numberOf, toText, typeName, Undefined, type Value } from './values.ts';
import { spendSteps } from './work.ts';

export function operate(operator: string, left: Value, right: Value): Value {
  if (operator === '~') return Text.join([toText(left), toText(right)]);
  for (const value of [left, right]) if (value instanceof Undefined) throw new Error(`'${value.name}' is undefined`);
  switch (operator) {
    case '<':
      return compare(left, right) < 0;
    case '<=':
      return compare(left, right) <= 0;
    case '>':
      return compare(left, right) > 0;
    case '>=':
      return compare(left, right) >= 0;
  }
  if (operator === '+' && left instanceof Text && right instanceof Text) return Text.join([left, right]);
  if (operator === '+' && left instanceof List && right instanceof List && left.kind === right.kind) {
    return new List([...left.items, ...right.items], left.kind);
  }
  if (operator === '*') {
    const [sequence, count] = typeof left === 'number' ? [right, left] : [left, right];
    if (typeof count === 'number' && (sequence instanceof Text || sequence instanceof List)) {
      return repeat(sequence, Math.max(0, count));
    }
  }
  return calculate(operator, left, right);
}

function repeat(sequence: Text | List, count: number): Text | List {
  spendSteps(count * (sequence instanceof List ? Math.max(1, sequence.items.length) : 1));
  const times = Array.from({ length: count }, () => sequence);
  if (sequence instanceof Text) return Text.join(times as Text[]);
  return new List(
    times.flatMap((list) => (list as List).items),
    sequence.kind,
  );
}

function calculate(operator: string, left: Value, right: Value): Value {
  const [a, b] = [numberOf(left), numberOf(right)];
  const no = () => new Error(`${operator} does not take a ${typeName(left)} and a ${typeName(right)}`);
  if (a === undefined || b === undefined) throw no();
  if (b === 0 && ['/', '//', '%'].includes(operator)) throw new Error('division by zero');
  if (operator === '/') return new Float(a / b);
  const table: Readonly<Record<string, number>> = {
    '+': a + b,
    '-': a - b,
    '*': a * b,
    '**': a ** b,
    '//': Math.floor(a / b),
    '%': a - b * Math.floor(a / b),
  };
  const result = table[operator];
  if (result === undefined) throw no();
  const isFloat = left instanceof Float || right instanceof Float || (operator === '**' && b < 0);
  return isFloat ? new Float(result) : result;
}
