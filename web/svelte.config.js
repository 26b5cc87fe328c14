import { vitePreprocess } from '@sveltejs/vite-plugin-svelte'

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    runes: true,
    discloseVersion: false,
    // Short names of scopes: they stand in every element that has a style.
    cssHash: ({ hash, filename }) => 's' + hash(filename.replace(/^.*\/src\//, '')).slice(0, 5),
  },
}
