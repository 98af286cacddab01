/**
 * The methods of Python's strings, lists and dictionaries that a template may call. Those that
 * would change a list or a dictionary are missing: Transformers' sandbox forbids them too.
 */
import { argument, flagArgument, neededText, numberArgument, textArgument } from './arguments.ts';
import { capitalize, isSpace, replace, type Side, split, splitLines, strip, title } from './python-string.ts';
import { Text } from './text.ts';
import { type Arguments, Callable, Dict, equal, itemsOf, List, toText, type Value } from './values.ts';
import { spendCharacters, spendSearch } from './work.ts';

type Method<T> = (self: T, args: Arguments) => Value;

const stripOn =
  (side: Side): Method<Text> =>
  (self, args) =>
    strip(self, side, textArgument(args, 0, 'chars')?.string);

const splitFrom =
  (fromEnd: boolean): Method<Text> =>
  (self, args) => {
    const [separator, limit] = [textArgument(args, 0, 'sep'), numberArgument(args, 1, 'maxsplit')];
    return new List(
      split(self, {
        fromEnd,
        ...(separator && { separator: separator.string }),
        ...(limit !== undefined && { limit }),
      }),
    );
  };

/** `startswith` and `endswith` take one string or a tuple of them. */
const affix =
  (matches: (text: string, part: string) => boolean): Method<Text> =>
  (self, args) => {
    const wanted = argument(args, 0, 'prefix') ?? null;
    const parts = wanted instanceof List ? wanted.items : [wanted];
    return parts.some((part) => {
      if (!(part instanceof Text)) throw new Error('startswith and endswith take a string or a tuple of strings');
      return matches(self.string, part.string);
    });
  };

const find =
  (method: 'indexOf' | 'lastIndexOf'): Method<Text> =>
  (self, args) => {
    const { string: part } = neededText(args, 0, 'sub');
    spendSearch(self.string, part);
    const at = self.string[method](part);
    return at === -1 ? -1 : Array.from(self.string.slice(0, at)).length;
  };

const every =
  (holds: (character: string) => boolean): Method<Text> =>
  (self) =>
    self.string !== '' && Array.from(self.string).every(holds);

const TEXT_METHODS: Readonly<Record<string, Method<Text>>> = {
  strip: stripOn('both'),
  lstrip: stripOn('start'),
  rstrip: stripOn('end'),
  split: splitFrom(false),
  rsplit: splitFrom(true),
  splitlines: (self, args) => new List(splitLines(self, flagArgument(args, 0, 'keepends'))),
  startswith: affix((text, part) => text.startsWith(part)),
  endswith: affix((text, part) => text.endsWith(part)),
  find: find('indexOf'),
  rfind: find('lastIndexOf'),
  index: (self, args) => {
    const at = find('indexOf')(self, args);
    if (at === -1) throw new Error('substring not found');
    return at;
  },
  count: (self, args) => self.split(neededText(args, 0, 'sub').string).length - 1,
  replace: (self, args) =>
    replace(self, neededText(args, 0, 'old').string, neededText(args, 1, 'new'), numberArgument(args, 2, 'count')),
  removeprefix: (self, args) => {
    const { string } = neededText(args, 0, 'prefix');
    return self.string.startsWith(string) ? self.slice(string.length) : self;
  },
  removesuffix: (self, args) => {
    const { string } = neededText(args, 0, 'suffix');
    return string !== '' && self.string.endsWith(string) ? self.slice(0, -string.length) : self;
  },
  join: (self, args) => {
    const parts = itemsOf(argument(args, 0, 'iterable') ?? null).map((part) => {
      if (!(part instanceof Text)) throw new Error('join takes a list of strings');
      return part;
    });
    return Text.join(parts, self);
  },
  upper: (self) => self.recase((s) => s.toUpperCase()),
  lower: (self) => self.recase((s) => s.toLowerCase()),
  capitalize,
  title,
  isspace: (self) => isSpace(self.string),
  isdigit: every((c) => /\p{Nd}/u.test(c)),
  isalpha: every((c) => /\p{L}/u.test(c)),
  isalnum: every((c) => /[\p{L}\p{N}]/u.test(c)),
  islower: (self) => /\p{Ll}/u.test(self.string) && !/[\p{Lu}\p{Lt}]/u.test(self.string),
  isupper: (self) => /\p{Lu}/u.test(self.string) && !/[\p{Ll}\p{Lt}]/u.test(self.string),
};

const DICT_METHODS: Readonly<Record<string, Method<Dict>>> = {
  get: (self, args) => self.get(argument(args, 0, 'key') ?? null) ?? argument(args, 1, 'default') ?? null,
  keys: (self) => new List(self.entries().map(([key]) => key)),
  values: (self) => new List(self.entries().map(([, value]) => value)),
  items: (self) => new List(self.entries().map((pair) => new List(pair, 'tuple'))),
};

const LIST_METHODS: Readonly<Record<string, Method<List>>> = {
  count: (self, args) => self.items.filter((item) => equal(item, argument(args, 0, 'value') ?? null)).length,
  index: (self, args) => {
    const wanted = argument(args, 0, 'value') ?? null;
    const at = self.items.findIndex((item) => equal(item, wanted));
    if (at === -1) throw new Error(`${toText(wanted).string} is not in the list`);
    return at;
  },
};

/** The method of this name, bound to its value, or undefined. */
export function methodOf(self: Value, name: string): Callable | undefined {
  if (self instanceof Text) {
    const { length } = self.string;
    return bind(TEXT_METHODS, self, name, () => spendCharacters(length));
  }
  if (self instanceof Dict) return bind(DICT_METHODS, self, name);
  return self instanceof List ? bind(LIST_METHODS, self, name) : undefined;
}

function bind<T>(
  methods: Readonly<Record<string, Method<T>>>,
  self: T,
  name: string,
  spend = () => {},
): Callable | undefined {
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (method === undefined) return undefined;
  return new Callable((args) => {
    spend();
    return method(self, args);
  });
}
