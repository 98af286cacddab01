import { Template } from '@huggingface/jinja';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileJinja } from './compile-jinja.ts';
import recorded from './fixtures/recorded.json' with { type: 'json' };
import { Text } from './text.ts';
import { Dict, Float, List, type Value } from './values.ts';

/** Strings become given text: that may change nothing. */
function fromJson(json: unknown): Value {
  if (typeof json === 'string') return Text.given(json);
  if (typeof json === 'number') return Number.isInteger(json) ? json : new Float(json);
  if (Array.isArray(json)) return new List(json.map(fromJson));
  if (typeof json === 'object' && json !== null) return Dict.of(mapValues(json, fromJson));
  return json as boolean | null;
}
const mapValues = <T>(fields: object, map: (value: unknown) => T): Record<string, T> =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, map(value)]));
const variables = mapValues(recorded.variables, fromJson);
const render = (source: string, more: Record<string, Value> = {}) =>
  compileJinja(source).render({ ...variables, ...more });

describe('renders as Jinja2 does', () => {
  test.each(recorded.cases as [string, string | null][])('%j', (source, expected) => {
    if (expected === null) expect(() => render(source)).toThrow();
    else expect(render(source).string).toBe(expected);
  });
});

test.each([
  ['a tuple of one', "{{ ('a',) }}"],
  ['an exponent', '{{ 1e3 }}'],
  ['a code point of eight digits', "{{ '\\U0001f600' }}"],
  ['a plus after the opening', '{%+ if true %}{% endif %}'],
  ['an inclusion', "{% include 'x' %}"],
])('refuses what the parser does not know, before anything is rendered: %s', (_, source) => {
  expect(() => compileJinja(source)).toThrow();
});

test('gives the time to strftime_now', () => {
  const now = () => new Date(2026, 10, 9, 17, 5, 3);
  const { render } = compileJinja("{{ strftime_now('%d %b %Y %B %A %y-%m-%d %H:%M:%S %I %p %j %a %-d %%') }}", { now });
  expect(render({}).string).toBe('09 Nov 2026 November Monday 26-11-09 17:05:03 05 PM 313 Mon 9 %');
});

describe('remembers who wrote what', () => {
  const written = (source: string, given = 'ab') =>
    [...render(source, { given: Text.given(given) }).stretches()]
      .map(({ text, writer }) => (writer === 'template' ? `<${text}>` : text))
      .join('');

  test.each([
    ["x{{ given }}y{{ 'z' }}", '<x>ab<yz>'],
    ["{{ 'x' + given + 'y' }}{{ 'x' ~ given }}", '<x>ab<yx>ab'],
    ["{% set v = 'x' + given %}{% set w %}{{ v }}y{% endset %}{{ w }}", '<x>ab<y>'],
    ['{% macro m(t) %}({{ t }}){% endmacro %}{{ m(given) }}', '<(>ab<)>'],
    ["{{ ('x' + given + 'x').split('a') | join('-') }}", '<x->b<x>'],
    ["{{ ('x' + given).replace('a', 'yy') }}", '<xyy>b'],
    ["{{ (' ' + given + ' ') | trim }}", 'ab'],
    ["{{ ('x' + given)[::-1] }}{{ ('x' + given)[:2] }}", 'ba<xx>a'],
    ["{{ ('x' + given) | upper }}", '<X>AB'],
    ['{{ given | tojson }}', '<">ab<">'],
    ['{{ [given, 1] }}', "<['>ab<', >1<]>"],
    ["{{ given | indent('> ', true) }}", '<> >ab'],
    ["{{ given | length }}{{ loop | default('x') }}", '2<x>'],
    ["{{ {'k': given}.k }}{{ {given: 1} | list | first }}", 'abab'],
    ['{% for c in given %}{{ c }}.{% endfor %}', 'a<.>b<.>'],
    ['{% filter upper %}x{{ given }}{% endfilter %}', '<X>AB'],
  ])('%s', (source, expected) => {
    expect(written(source)).toBe(expected);
  });

  test('nothing counts as written if letters change their number', () => {
    expect(written("{{ ('x' + given) | upper }}", 'ß')).toBe('XSS');
  });
});

/** Where the library renders as Jinja2 does, it is a second witness, on texts that nobody chose. */
test('renders any text as the library does', () => {
  const source =
    "{% for m in messages %}{{ '<|' + m.role + '|>' }}{% if '</t>' in m.content %}" +
    "{{ m.content.split('</t>')[-1].lstrip('\\n') }}{% elif m.content.startswith('<t>') %}{{ m.content[3:] }}" +
    "{% else %}{{ m.content.replace('t', 'T') }}{% endif %}{{ m.content | tojson }}{% endfor %}";
  const ours = compileJinja(source);
  const theirs = new Template(source);
  const piece = fc.oneof(fc.constantFrom('</t>', '<t>', '\n', '<|user|>', '"', '\\'), fc.string({ unit: 'grapheme' }));
  const content = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join(''));
  const messages = fc.array(fc.record({ role: fc.constantFrom('user', 'assistant'), content }), { maxLength: 3 });
  fc.assert(
    fc.property(messages, (given) => {
      expect(ours.render({ messages: fromJson(given) }).string).toBe(theirs.render({ messages: given }));
    }),
  );
});
