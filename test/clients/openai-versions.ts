// The majors of the openai package that are tested. Of the older one only the type is the newer one's: its surface is
// the same as far as these tests go.

import OpenAI, { AzureOpenAI } from 'openai'
import OpenAI6, { AzureOpenAI as AzureOpenAI6 } from 'openai-6'

export const versions = [
  { name: 'openai 7', Client: OpenAI, Azure: AzureOpenAI, folder: 'openai' },
  {
    name: 'openai 6',
    Client: OpenAI6 as unknown as typeof OpenAI,
    Azure: AzureOpenAI6 as unknown as typeof AzureOpenAI,
    folder: 'openai-6',
  },
]
