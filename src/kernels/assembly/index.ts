export { sweep } from './sweep'
export { diagonal, panels } from './factor'
export { searchScales } from './search'
export { refine } from './refine'
