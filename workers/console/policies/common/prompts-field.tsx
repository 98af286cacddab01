/** Prompts: written or pasted, one a line, or out of a file of JSON Lines. */
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { type Messages, readPastedPrompts, readPrompts } from '#policies/simulation/read-prompts.ts';
import { inWhole } from '../../net/words.ts';

export type WrittenPrompts = {
  text: string;
  /** Where the text is from, if nobody has written it here. */
  from: string | null;
};

export const NO_PROMPTS: WrittenPrompts = { text: '', from: null };

type Read = { prompts: Messages[]; problem: string | null };

export function readWritten({ text, from }: WrittenPrompts): Read {
  if (text.trim() === '') return { prompts: [], problem: null };
  try {
    const prompts = from === null ? readPastedPrompts(text, 'line') : readPrompts(text, from);
    return { prompts, problem: null };
  } catch (thrown) {
    return { prompts: [], problem: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

export function PromptsField({
  written,
  read: { prompts, problem },
  disabled = false,
  onChange,
  children,
}: {
  written: WrittenPrompts;
  read: Read;
  disabled?: boolean;
  onChange: (written: WrittenPrompts) => void;
  /** More ways to come by prompts. */
  children?: ComponentChildren;
}) {
  const id = useId();
  const open = async (file: File | undefined) => {
    if (file !== undefined) onChange({ text: await file.text(), from: file.name });
  };
  const { text, from } = written;
  return (
    <div class="stack tight">
      {from === null ? (
        <>
          <label for={id}>Prompts</label>
          <textarea
            id={id}
            dir="auto"
            rows={4}
            value={text}
            disabled={disabled}
            placeholder='One a line, or JSON Lines: {"prompt": "…"} or {"messages": […]}'
            aria-describedby={`${id}-about`}
            onInput={(event) => onChange({ text: event.currentTarget.value, from: null })}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit();
            }}
          />
        </>
      ) : (
        <p>
          Prompts: <bdi>{from}</bdi>{' '}
          <button type="button" class="link" disabled={disabled} onClick={() => onChange(NO_PROMPTS)}>
            Write some instead
          </button>
        </p>
      )}
      <div class="actions start">
        <span id={`${id}-about`} class="small" role="status">
          {prompts.length === 0
            ? 'No prompt yet'
            : prompts.length === 1
              ? '1 prompt'
              : `${inWhole(prompts.length)} prompts`}
        </span>
        <FileButton label="Open a file …" accept=".jsonl,.ndjson,.json,.txt" disabled={disabled} onFile={open} />
        {children}
      </div>
      {problem !== null && (
        <p class="notice error wrap" role="alert" dir="auto">
          {problem}
        </p>
      )}
    </div>
  );
}

/** The browser's own file field, as a button. */
export function FileButton({
  label,
  accept,
  disabled = false,
  onFile,
}: {
  label: string;
  accept: string;
  disabled?: boolean;
  onFile: (file: File | undefined) => void;
}) {
  return (
    <label class={`file-button ${disabled ? 'off' : ''}`}>
      <span>{label}</span>
      <input
        class="hidden"
        type="file"
        accept={accept}
        disabled={disabled}
        onChange={(event) => {
          onFile(event.currentTarget.files?.[0]);
          // The same file may be opened again.
          event.currentTarget.value = '';
        }}
      />
    </label>
  );
}
