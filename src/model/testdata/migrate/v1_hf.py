from transformers import AutoModel

class Model:
    def load(self):
        self.model = AutoModel.from_pretrained("google-bert/bert-base-uncased")
        self.other = AutoModel.from_pretrained('/app/model_cache/elsewhere')
        self.fine = open("/app/model_cache/google-bert_bert-base-uncased/config.json")
