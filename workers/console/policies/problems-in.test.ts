/** Problems, paths and completions of the editor, on the text that they are about. */
import { CompletionContext } from '@codemirror/autocomplete';
import { json } from '@codemirror/lang-json';
import { ensureSyntaxTree } from '@codemirror/language';
import { EditorState } from '@codemirror/state';
import { describe, expect, test } from 'vitest';
import { completeField } from './complete-field.ts';
import { fieldsAt, schemaAt, valuesAt } from './policy-fields.ts';
import { problemsIn } from './problems-in.ts';

function stateOf(doc: string): EditorState {
  const state = EditorState.create({ doc, extensions: [json()] });
  ensureSyntaxTree(state, doc.length);
  return state;
}
/** What each problem is about, as it stands in the text. */
const marked = (doc: string) => problemsIn(stateOf(doc)).map(({ from, to }) => doc.slice(from, to));

describe('a problem is marked where it stands', () => {
  test.each([
    ['{"floor": 0.5, "budget": 3}', []],
    ['{"floor": 2, "budget": 3}', ['2']],
    ['{"floor": 0, "budget": 3, "categories": {"violence": {"ramp": {"from": 0.5, "full": 7}}}}', ['7']],
    ['{"floor": 0, "budget": 3, "flour": 1}', ['1']],
    ['{"floor": 0, "budget": 3, "modes": ["logits", "x"]}', ['"x"']],
  ])('%s', (doc, found) => {
    expect(marked(doc)).toEqual(found);
  });

  test('what is missing is marked on the whole object', () => {
    expect(marked('{"floor": 0}')).toEqual(['{"floor": 0}']);
  });

  test.each(['', '{', '{"floor": }', '{"floor": 1,}'])('broken JSON has one problem: %j', (doc) => {
    expect(problemsIn(stateOf(doc))).toHaveLength(1);
  });
});

describe('completes', () => {
  /** `|` is the cursor. */
  const at = (text: string) => {
    const pos = text.indexOf('|');
    const state = stateOf(text.replace('|', ''));
    return completeField(new CompletionContext(state, pos, true))?.options.map(({ label }) => label) ?? [];
  };

  test('a field that is not there yet', () => {
    const labels = at('{"floor": 0, "ceil|"}');
    expect(labels).toContain('"ceiling"');
    expect(labels).not.toContain('"floor"');
  });

  test('a field of an object inside', () => {
    expect(at('{"opening": {|}}').sort()).toEqual(['"floor"', '"tokens"']);
    expect(at('{"categories": {"violence": {"ra|"}}}')).toContain('"ramp"');
  });

  test('the few values that a field may have', () => {
    expect(at('{"action": "m|"}').sort()).toEqual(['"mix"', '"refuse"', '"safety_only"']);
    expect(at('{"action": |}')).toContain('"mix"');
  });
});

test('the schema is read through references and choices', () => {
  expect(schemaAt(['floor'])).toMatchObject({ maximum: 1 });
  expect(schemaAt(['no', 'such'])).toBeNull();
  expect(fieldsAt(['categories', 'violence']).map(([name]) => name)).toContain('ramp');
  expect(valuesAt(['rule'])).toEqual(['arithmetic', 'geometric']);
});
