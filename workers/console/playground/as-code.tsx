/** The same request from a program, to be copied. */
import { useState } from 'preact/hooks';
import { CopyButton } from '../parts/copy-button.tsx';
import { type LaneLine, routeOf } from './ask.ts';
import { LANGUAGES, type Language, type Sent, writeCode } from './write-code.ts';

export function AsCode({ sent, line }: { sent: string; line: LaneLine }) {
  const [language, setLanguage] = useState<Language>('curl');
  const code = writeCode(language, JSON.parse(sent) as Sent, { origin: location.origin, route: routeOf(line) });
  return (
    <div class="code">
      <div class="code-head">
        <fieldset class="choice">
          <legend class="hidden">Language</legend>
          {LANGUAGES.map((each) => (
            <button
              type="button"
              key={each}
              class="quiet"
              aria-pressed={each === language}
              onClick={() => setLanguage(each)}
            >
              {each}
            </button>
          ))}
        </fieldset>
        <CopyButton text={code} />
      </div>
      <textarea
        class="code-text"
        aria-label={`The request as ${language}`}
        readOnly
        spellcheck={false}
        rows={9}
        value={code}
      />
    </div>
  );
}
