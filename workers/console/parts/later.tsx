/** A page whose code is loaded when somebody goes there. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { ApiError } from '../net/api.ts';
import { asApiError } from '../net/use-answer.ts';
import { ErrorNotice, Waiting } from './notice.tsx';

export function later<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loaded: ComponentType<Props> | null = null;
  return function Later(props: Props) {
    const [Page, setPage] = useState<{ of: ComponentType<Props> } | null>(loaded && { of: loaded });
    const [error, setError] = useState<ApiError | null>(null);
    const ask = () => {
      setError(null);
      load().then(
        (page) => {
          loaded = page;
          setPage({ of: page });
        },
        (thrown: unknown) => setError(asApiError(thrown)),
      );
    };
    useEffect(() => {
      if (Page === null) ask();
    }, []);
    if (error !== null) return <ErrorNotice error={error} again={ask} />;
    return Page === null ? <Waiting what="Loading this page …" /> : <Page.of {...props} />;
  };
}
