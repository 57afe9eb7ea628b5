/** The page of Studio: `<fanlight-studio>` and the elements that it is made of. */
import './elements/app.js';

const idle = () => new Promise((resolve) => (globalThis.requestIdleCallback ?? setTimeout)(resolve));

// The steps after the first one come when that can be used and the page has nothing else to do. One at a time: the page
// answers in between.
const rest = async () => {
  for (const step of [
    () => import('./intake.js'), () => import('./elements/grid.js'), () => import('../runtime/train.js'), () => import('./fitting.js'),
    () => import('./elements/camera_view.js'), () => import('./elements/projects.js'), () => import('./elements/gallery.js'), () => import('./elements/train.js'),
    () => import('./elements/try.js'), () => import('./elements/keep.js'), () => import('./elements/tag.js'),
  ]) {
    await idle();
    await step().catch(() => {}); // the app says that it is offline
  }
};

const app = document.querySelector('fanlight-studio');
if (app) app.addEventListener('fanlight-ready', rest, { once: true });
else rest(); // the steps stand alone
