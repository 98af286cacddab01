/** The editor in the console's colours. */
import { HighlightStyle } from '@codemirror/language';
import { EditorView } from '@codemirror/view';
import { tags } from '@lezer/highlight';

export const editorColours = HighlightStyle.define([
  { tag: tags.propertyName, color: 'var(--ink)' },
  { tag: tags.string, color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--deep)' },
  { tag: tags.punctuation, color: 'var(--soft)' },
]);

export const editorLook = EditorView.theme({
  '&': {
    background: 'var(--panel)',
    color: 'var(--ink)',
    fontSize: '0.87rem',
    maxHeight: '62vh',
    border: '1px solid var(--rule)',
    borderRadius: '4px',
  },
  '&.cm-focused': { outline: '2px solid var(--line)', outlineOffset: '2px' },
  '.cm-scroller': { fontFamily: 'var(--code)', lineHeight: '1.6' },
  '.cm-content': { caretColor: 'var(--ink)', paddingBlock: '0.7rem' },
  '.cm-cursor': { borderColor: 'var(--ink)' },
  '.cm-gutters': { background: 'var(--sunk)', color: 'var(--soft)', border: 'none' },
  '.cm-tooltip': { background: 'var(--panel)', color: 'var(--ink)', border: '1px solid var(--rule-strong)' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': { background: 'var(--deep)', color: 'var(--on-deep)' },
  '.cm-completionInfo': { maxWidth: '22rem', fontFamily: 'var(--text)', padding: '0.5rem 0.7rem' },
  '.cm-diagnostic-error': { borderInlineStart: '3px solid var(--bad)' },
  '.field-about': { margin: 0, padding: '0.4rem 0.6rem', maxWidth: '24rem', fontFamily: 'var(--text)' },
  '&.cm-focused .cm-matchingBracket': { background: 'var(--buff)', outline: 'none' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, ::selection': {
    background: 'color-mix(in srgb, var(--deep-rgb) 30%, transparent)',
  },
});
