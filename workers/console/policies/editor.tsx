/**
 * A JSON editor that knows the policy language: it completes fields and values out of its schema,
 * says what a field means, and marks what the edge would refuse, with the same code.
 */
import { autocompletion, closeBrackets } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { json } from '@codemirror/lang-json';
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { forEachDiagnostic, linter, lintGutter } from '@codemirror/lint';
import { EditorState } from '@codemirror/state';
import { EditorView, hoverTooltip, keymap, lineNumbers } from '@codemirror/view';
import { useEffect, useRef } from 'preact/hooks';
import { completeField } from './complete-field.ts';
import { describeField } from './describe-field.ts';
import { editorColours, editorLook } from './editor-look.ts';
import { problemsIn } from './problems-in.ts';

const LOOK_AFTER_MS = 250;

export function Editor({
  text,
  readOnly,
  onChange,
  onProblems,
}: {
  /** What it begins with. */
  text: string;
  readOnly: boolean;
  onChange: (text: string) => void;
  onProblems: (count: number) => void;
}) {
  const place = useRef<HTMLDivElement>(null);
  const tell = useRef({ onChange, onProblems });
  tell.current = { onChange, onProblems };
  useEffect(() => {
    if (place.current === null) return;
    // The editor's styles are made at run time. The page's policy lets a shadow root adopt them,
    // and refuses them in the page itself.
    const root = place.current.shadowRoot ?? place.current.attachShadow({ mode: 'open' });
    const view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(),
          history(),
          json(),
          indentUnit.of('  '),
          indentOnInput(),
          bracketMatching(),
          closeBrackets(),
          syntaxHighlighting(editorColours),
          editorLook,
          EditorView.lineWrapping,
          EditorState.readOnly.of(readOnly),
          EditorView.contentAttributes.of({ 'aria-label': 'The policy, as JSON', tabindex: '0' }),
          autocompletion({ override: [completeField], icons: false }),
          hoverTooltip(describeField),
          lintGutter(),
          linter(({ state }) => problemsIn(state), { delay: LOOK_AFTER_MS }),
          EditorView.updateListener.of(({ docChanged, state }) => {
            if (docChanged) tell.current.onChange(state.doc.toString());
            let count = 0;
            forEachDiagnostic(state, () => {
              count += 1;
            });
            tell.current.onProblems(count);
          }),
          // Tab leaves the editor, as it leaves every field.
          keymap.of([...defaultKeymap, ...historyKeymap]),
        ],
      }),
    });
    return () => view.destroy();
  }, []);
  return <div class="editor" ref={place} />;
}
