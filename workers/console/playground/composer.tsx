/** What is asked, in every lane alike. */
import { useId } from 'preact/hooks';
import { NumberField } from '../parts/number-field.tsx';
import type { Asked } from './ask.ts';

export function Composer({
  asked,
  models,
  busy,
  onChange,
  onRun,
  onStop,
}: {
  asked: Asked;
  models: readonly string[];
  busy: boolean;
  onChange: (change: Partial<Asked>) => void;
  onRun: () => void;
  onStop: () => void;
}) {
  const id = useId();
  const ready = asked.prompt.trim() !== '' && asked.model !== '';
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        if (busy) onStop();
        else if (ready) onRun();
      }}
    >
      <label class="hidden" for={`${id}-prompt`}>
        Prompt
      </label>
      <textarea
        id={`${id}-prompt`}
        dir="auto"
        rows={3}
        placeholder="Ask one thing, under up to three lines"
        value={asked.prompt}
        onInput={(event) => onChange({ prompt: event.currentTarget.value })}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          if (ready && !busy) onRun();
        }}
      />
      <div class="composer-foot">
        <label class="inline">
          <span>Model</span>
          <select value={asked.model} onChange={(event) => onChange({ model: event.currentTarget.value })}>
            {models.map((model) => (
              <option key={model}>{model}</option>
            ))}
          </select>
        </label>
        <details class="more">
          <summary>Sampling</summary>
          <div class="more-panel">
            <label for={`${id}-system`}>System prompt</label>
            <textarea
              id={`${id}-system`}
              dir="auto"
              rows={2}
              value={asked.system}
              onInput={(event) => onChange({ system: event.currentTarget.value })}
            />
            <NumberField
              name="Most tokens"
              value={asked.maxTokens}
              min={1}
              step={1}
              onChange={(value) => onChange({ maxTokens: value ?? 128 })}
            />
            <NumberField
              name="Temperature"
              value={asked.temperature}
              min={0}
              max={2}
              step={0.1}
              hint="the model’s own"
              onChange={(temperature) => onChange({ temperature })}
            />
            <NumberField name="Seed" value={asked.seed} step={1} hint="any" onChange={(seed) => onChange({ seed })} />
          </div>
        </details>
        <span class="keys small" aria-hidden="true">
          Ctrl ⏎
        </span>
        <button type="submit" class="primary" disabled={!busy && !ready}>
          {busy ? 'Stop' : 'Ask'}
        </button>
      </div>
    </form>
  );
}
