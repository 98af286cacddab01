/** The functions that Jinja and Transformers give to every template. */
import { numberArgument, textArgument } from './arguments.ts';
import { formatTime } from './format-time.ts';
import { Text } from './text.ts';
import { type Arguments, Callable, Dict, itemsOf, List, Namespace, toText, type Value } from './values.ts';
import { spendCharacters } from './work.ts';

function range(args: Arguments): List {
  const [first, second, step = 1] = [0, 1, 2].map((place) => numberArgument(args, place, 'range'));
  const [start, stop] = second === undefined ? [0, first ?? 0] : [first ?? 0, second];
  if (step === 0) throw new Error('range: the step is 0');
  const count = Math.max(0, Math.ceil((stop - start) / step));
  // Jinja's sandbox has the same limit.
  if (count > 100_000) throw new Error('range: more than 100000 numbers');
  return new List(Array.from({ length: count }, (_, i) => start + i * step));
}

/** The entries of `dict()` and `namespace()`: those of a dict or list of pairs, then the named. */
function entries({ positional, named }: Arguments): (readonly [Value, Value])[] {
  const [from] = positional;
  const pairs = from instanceof Dict ? from.entries() : from === undefined ? [] : itemsOf(from).map(pairOf);
  return [...pairs, ...[...named].map(([name, value]) => [Text.written(name), value] as const)];
}

function pairOf(value: Value): readonly [Value, Value] {
  const [key, item, ...rest] = itemsOf(value);
  if (key === undefined || item === undefined || rest.length > 0) throw new Error('wanted a list of pairs');
  return [key, item];
}

/** The longest directive makes nine characters of two. */
function timeText(time: Date, format: string): string {
  spendCharacters(5 * format.length);
  return formatTime(time, format);
}

export function globals(now: () => Date): [string, Value][] {
  return [
    ['true', true],
    ['True', true],
    ['false', false],
    ['False', false],
    ['none', null],
    ['None', null],
    ['range', new Callable(range)],
    ['dict', new Callable((args) => new Dict(entries(args)))],
    [
      'namespace',
      new Callable((args) => new Namespace(entries(args).map(([key, value]) => [toText(key).string, value] as const))),
    ],
    [
      'raise_exception',
      new Callable((args) => {
        throw new Error(textArgument(args, 0, 'message')?.string ?? '');
      }),
    ],
    [
      'strftime_now',
      new Callable((args) => Text.written(timeText(now(), textArgument(args, 0, 'format')?.string ?? ''))),
    ],
  ];
}
