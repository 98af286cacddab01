/** The console's beginning: the styles, and the one element that everything else is in. */
// First, because schemas look at it when they are made.
import './parts/without-eval.ts';
import './style/main.css';
import { render } from 'preact';
import { App } from './app.tsx';

const root = document.getElementById('app');
if (root === null) throw new Error('the page has no #app');
render(<App />, root);
