from keyturn.functions import create_app

app = create_app()
