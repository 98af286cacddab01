import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileJinja } from './compile-jinja.ts';
import { Text } from './text.ts';

/** A string of 2^20 characters, and a loop that runs for as long as it may. */
const LONG = '{% set ns = namespace(s="a") %}{% for i in range(20) %}{% set ns.s = ns.s + ns.s %}{% endfor %}';
const often = (body: string) => `{% for i in range(100000) %}${body}{% endfor %}`;
const doubled = (value: string) =>
  `{% set ns = namespace(v=${value}) %}{% for i in range(60) %}{% set ns.v = ns.v + ns.v %}{% endfor %}`;

describe('a template is stopped', () => {
  test.each([
    ['that loops in a loop', often(often(''))],
    [
      'that calls itself twice',
      '{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}',
    ],
    ['that calls itself for ever', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}'],
    ['that nests lists', `{% set ns = namespace(v=[]) %}${often('{% set ns.v = [ns.v] %}')}{{ ns.v }}`],
    ['that doubles a string', doubled("'ab'")],
    ['that doubles a list', doubled('[1]')],
    [
      'that prints one list 2^60 times',
      '{% set ns = namespace(v=[1]) %}{% for i in range(60) %}{% set ns.v = [ns.v, ns.v] %}{% endfor %}{{ ns.v }}',
    ],
    ['that repeats a string', "{{ 'a' * 500000000 }}"],
    ['that repeats a string for ever', "{{ 'a' * 10 ** 400 }}"],
    ['that repeats an empty list', '{{ [] * 1000000000 }}'],
    ['that repeats a list', '{{ [1] * 100000000 }}'],
    ['that indents too far', "{{ 'a\\nb' | indent(500000000) }}"],
    ['that indents JSON too far', '{{ [[1]] | tojson(indent=200000000) }}'],
    ['that doubles letters', `{% set ns = namespace(s='a') %}${often("{% set ns.s = ns.s.replace('a', 'aa') %}")}`],
    ['that compares all numbers with all', '{{ range(100000) | unique }}'],
    ['that sorts again and again', often('{% set x = range(100000) | sort %}')],
    ['that searches a long string again and again', LONG + often("{{ ns.s.count('b') }}")],
    ['that looks for a long string in a long one', `${LONG}{% set part = ns.s[:500000] ~ 'b' %}{{ part in ns.s }}`],
    ['that compares long strings', LONG + often("{{ ns.s == ns.s ~ '' }}")],
    ['that orders long strings', LONG + often("{{ ns.s < ns.s ~ '' }}")],
    ['that asks what is in a long string', LONG + often('{{ ns.s.isspace() }}{{ ns.s is lower }}')],
    ['that reads a long string as a number', LONG + often('{{ ns.s | int }}')],
    ['that has a long key', LONG + often('{{ {}.get(ns.s) }}')],
    ['that changes case', LONG + often('{% set x = ns.s | upper %}')],
    [
      'that writes many times',
      `{% set ns = namespace(s='%Y') %}${often('{% set ns.s = ns.s + ns.s %}{{ strftime_now(ns.s) }}')}`,
    ],
  ])('%s', (_, source) => {
    const { render } = compileJinja(source);
    expect(() => render({})).toThrow(
      /^the template does too much: it (ran out of (steps|characters)|nests too deeply)$/,
    );
  });
});

test('what a template may do grows with the messages, so that long ones are no fault of the template', () => {
  const given = 1_000_000;
  const content = Text.given('line\n'.repeat(given / 5));
  const source =
    "{{ content | trim | length }} {{ content.split('\\n') | length }} {{ content.split('</think>')[-1].strip('\\n') | length }}" +
    " {{ content.startswith('<tool>') }} {{ content[0] }} {{ content | tojson | length }}";
  const { render } = compileJinja(source);
  expect(render({ content }, { given }).string).toBe('999999 200001 999999 False l 1200002');
});

/** If each of them shifted the others, a million line feeds would hold the process for minutes. */
test.each([
  ["{{ content.strip('\\n') }}"],
  ["{{ content.lstrip('\\n') }}"],
  ["{{ content.rstrip('\\n') }}"],
  ["{{ content.rsplit('\\n') | length }}"],
  ["{{ content | trim('\\n') }}"],
])('%s is fast on a million line feeds', (source) => {
  const given = 1_000_000;
  const { render } = compileJinja(source);
  expect(render({ content: Text.given('\n'.repeat(given)) }, { given }).string).toMatch(/^(1000001)?$/);
});

test('any template ends: it renders, or throws an error', () => {
  const name = fc.constantFrom('a', 'b', 'ns.v', 'messages', 'loop', 'f');
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { maxDepth: 3 },
      fc.oneof(name, fc.constantFrom("'x'", '[]', '{}', '0', '99999', '1e9', 'none'), fc.integer().map(String)),
      fc
        .tuple(
          tie('expression'),
          fc.constantFrom('+', '-', '*', '**', '~', '/', '%', '<', '==', 'in', 'and'),
          tie('expression'),
        )
        .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
      fc
        .tuple(
          tie('expression'),
          fc.constantFrom(
            'length',
            'list',
            'sort',
            'join',
            'tojson',
            'upper',
            'unique',
            'indent',
            'trim',
            'string',
            'reverse',
          ),
        )
        .map(([a, filter]) => `(${a} | ${filter})`),
      tie('expression').map((a) => `range(${a})`),
      tie('expression').map((a) => `f(${a})`),
      fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `${a}[${b}:]`),
    ),
  }));
  const { statement } = fc.letrec<{ statement: string }>((tie) => ({
    statement: fc.oneof(
      { maxDepth: 4 },
      expression.map((value) => `{{ ${value} }}`),
      fc.tuple(fc.constantFrom('a', 'b', 'ns.v'), expression).map(([name, value]) => `{% set ${name} = ${value} %}`),
      fc.tuple(expression, tie('statement')).map(([value, body]) => `{% for a in ${value} %}${body}{% endfor %}`),
      fc.tuple(expression, tie('statement')).map(([value, body]) => `{% if ${value} %}${body}{% endif %}`),
      tie('statement').map((body) => `{% macro f(a) %}${body}{% endmacro %}`),
      fc.tuple(tie('statement'), tie('statement')).map((both) => both.join('')),
    ),
  }));
  fc.assert(
    fc.property(fc.array(statement, { maxLength: 4 }), (statements) => {
      const source = `{% set ns = namespace(v='v') %}${statements.join('')}`;
      try {
        compileJinja(source).render({ messages: Text.given('some text') });
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        expect(error).not.toBeInstanceOf(TypeError);
        expect(error).not.toBeInstanceOf(RangeError);
      }
    }),
    { numRuns: 300 },
  );
});
