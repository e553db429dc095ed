"""What keyturn and its emulator write on a machine: who may read it, where it lands, and who is listened to."""
